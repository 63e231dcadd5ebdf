/** What the person chose: language and theme. Kept in the browser where it allows that. */

import { en, type Words } from './words/en';
import { Format } from './words/format';
import { zh } from './words/zh';

export type Language = 'zh' | 'en';
export type Theme = 'auto' | 'light' | 'dark';

const CATALOGUES: Readonly<Record<Language, Words>> = { zh, en };
const TAGS: Readonly<Record<Language, string>> = { zh: 'zh-CN', en: 'en-GB' };
/** Made once for each language and zone, as that is slow. */
const formats = new Map<string, Format>();

function formatOf(language: Language, zone: string | null): Format {
  const key = `${language} ${zone ?? ''}`;
  const made = formats.get(key) ?? new Format(TAGS[language], CATALOGUES[language].spanUnits, zone);
  formats.set(key, made);
  return made;
}

function stored(key: string): string | null {
  try {
    return localStorage.getItem(`steward.${key}`);
  } catch {
    return null;
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(`steward.${key}`, value);
  } catch {
    // Storage is off: the choice then lasts as long as the page.
  }
}

/** The address decides first, so that a link can fix how it looks; then the choice; then the browser. */
function firstLanguage(): Language {
  const asked = new URLSearchParams(location.search).get('lang') ?? stored('language');
  if (asked === 'zh' || asked === 'en') return asked;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

function firstTheme(): Theme {
  const asked = new URLSearchParams(location.search).get('theme') ?? stored('theme');
  return asked === 'light' || asked === 'dark' ? asked : 'auto';
}

class Settings {
  /** A screen on a wall: nobody clicks, nothing is sent. `?wall` in the address. */
  readonly isWall = new URLSearchParams(location.search).has('wall');
  language = $state<Language>(firstLanguage());
  theme = $state<Theme>(firstTheme());
  /** What the system prefers; the theme `auto` follows it. */
  isSystemDark = $state(matchMedia('(prefers-color-scheme: dark)').matches);
  isDark = $derived(this.theme === 'dark' || (this.theme === 'auto' && this.isSystemDark));
  words = $derived(CATALOGUES[this.language]);
  /** The zone whose clocks the page shows: that of the boxes; `null` until one has told it. */
  zone = $state<string | null>(null);
  format = $derived(formatOf(this.language, this.zone));

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => {
      this.isSystemDark = event.matches;
      this.apply();
    });
  }

  chooseLanguage(language: Language): void {
    this.language = language;
    store('language', language);
    this.apply();
  }

  chooseTheme(theme: Theme): void {
    this.theme = theme;
    store('theme', theme);
    this.apply();
  }

  /** Puts the choices on the document, where the style sheet and screen readers look for them. */
  apply(): void {
    document.documentElement.lang = this.words.tag;
    document.documentElement.dataset['theme'] = this.isDark ? 'dark' : 'light';
    document.title = `Steward · ${this.words.title}`;
  }
}

export const settings = new Settings();
