/** The start of the page. */

import 'leaflet/dist/leaflet.css';
import './map/map.css';
import './app.css';

import { mount } from 'svelte';

import App from './App.svelte';
import { settings } from './settings.svelte';

settings.apply();

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no element with the id "app"');

mount(App, { target });
