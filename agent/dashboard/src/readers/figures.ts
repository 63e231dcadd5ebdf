/** From `P/<class>/<id>/figures` to the week of a street, bay or bin. */

import type { AssetFigures, Capacity, ParkingDay, ParkingWeek, WasteDay, WasteWeek } from '../picture/figures';
import { count, fields, instant, list, number, own, text, type Fields } from './values';

/** More days than a box shows. */
const DAYS_MAX = 31;
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** The Curb Data Specification writes −1 for what nobody knows. */
const metric = (from: Fields, name: string): number | null => number(own(from, name), 0);

function date(value: unknown): string | null {
  const found = text(value, 10);
  return found !== null && DATE.test(found) ? found : null;
}

function hour(value: unknown): ParkingDay['hours'][number] {
  const found = number(value, -1, 100);
  return found !== null && found < 0 ? 'blind' : found;
}

function parkingDay(value: unknown): ParkingDay | null {
  const from = fields(value) ?? {};
  const day = date(own(from, 'date'));
  if (day === null) return null;
  const metrics = fields(own(from, 'metrics')) ?? {};
  const hours = own(from, 'occupancy');
  return {
    date: day,
    day: text(own(from, 'day'), 20),
    until: instant(own(from, 'until')),
    occupiedS: number(own(from, 'occupied_s'), 0) ?? 0,
    freeS: number(own(from, 'free_s'), 0) ?? 0,
    blindS: number(own(from, 'blind_s'), 0) ?? 0,
    outS: number(own(from, 'out_of_service_s'), 0) ?? 0,
    sessions: metric(metrics, 'total_sessions'),
    dwellS: metric(metrics, 'average_dwell_time'),
    due: count(own(from, 'due')) ?? 0,
    unbilled: count(own(from, 'unbilled')) ?? 0,
    hours: Array.isArray(hours) && hours.length === 24 ? hours.map(hour) : [],
  };
}

function parkingWeek(value: unknown): ParkingWeek | null {
  const from = fields(value);
  if (from === null) return null;
  const currency = text(own(from, 'currency'), 3);
  return {
    today: parkingDay(own(from, 'today')),
    days: list(own(from, 'days'), DAYS_MAX, parkingDay),
    currency: currency !== null && /^[A-Z]{3}$/.test(currency) ? currency : null,
  };
}

function wasteDay(value: unknown): WasteDay | null {
  const from = fields(value) ?? {};
  const day = date(own(from, 'day'));
  if (day === null) return null;
  return {
    date: day,
    overflowMs: number(own(from, 'overflow_ms'), 0) ?? 0,
    collections: count(own(from, 'collections')) ?? 0,
    early: count(own(from, 'early')) ?? 0,
    litres: number(own(from, 'litres'), 0) ?? 0,
    liftedG: number(own(from, 'lifted_g'), 0) ?? 0,
    deposits: count(own(from, 'deposits')) ?? 0,
    violations: count(own(from, 'violations')) ?? 0,
  };
}

function ahead(value: unknown): Capacity['ahead'][number] | null {
  const from = fields(value) ?? {};
  const hours = number(own(from, 'hours'), 1, 1000);
  const filledL = number(own(from, 'filled_l'), 0);
  return hours === null || filledL === null ? null : { hours, filledL, full: count(own(from, 'full')) ?? 0 };
}

function capacity(value: unknown): Capacity | null {
  const from = fields(value) ?? {};
  const bins = count(own(from, 'bins'));
  const capacityL = number(own(from, 'capacity_l'), 0);
  const filledL = number(own(from, 'filled_l'), 0);
  if (bins === null || capacityL === null || filledL === null) return null;
  return {
    bins,
    unknown: count(own(from, 'unknown')) ?? 0,
    capacityL,
    filledL,
    full: count(own(from, 'full')) ?? 0,
    ahead: list(own(from, 'ahead'), 10, ahead),
  };
}

function wasteWeek(value: unknown): WasteWeek | null {
  const from = fields(value);
  if (from === null) return null;
  return {
    today: wasteDay(own(from, 'today')),
    days: list(own(from, 'days'), DAYS_MAX, wasteDay),
    capacity: capacity(own(from, 'capacity')),
  };
}

/** The figures of an asset. */
export function figures(from: Fields): AssetFigures {
  return { at: instant(own(from, 'at')), parking: parkingWeek(own(from, 'parking')), waste: wasteWeek(own(from, 'waste')) };
}
