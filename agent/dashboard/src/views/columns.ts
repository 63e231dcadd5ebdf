/** The columns of the asset tables: what each shows and how it sorts. Pure; the time is an argument. */

import { ACTIVITIES, BAY_STATUSES, BIN_STATUSES, type Asset, type Bay, type Bin, type Vehicle } from '../picture/model';
import type { Picture } from '../picture/picture';
import { overstaySince } from '../picture/tally';
import type { Words } from '../words/en';
import { named, type Format } from '../words/format';
import { assetName, streetName } from '../words/naming';

/** What a cell is written with. */
export interface Script {
  readonly words: Words;
  readonly format: Format;
  readonly language: string;
  readonly picture: Picture;
  readonly now: number;
}

export interface Column<A> {
  readonly key: string;
  readonly title: string;
  /** `status` cells carry the map's mark, `level` cells a bar. */
  readonly form: 'text' | 'number' | 'status' | 'level';
  /** 1 is always shown, 2 from 700 px on, 3 from 1300 px on. */
  readonly rank: 1 | 2 | 3;
  readonly text: (asset: A) => string;
  /** `null` sorts last in either direction: what is not known is not small. */
  readonly order: (asset: A) => number | string | null;
}

/** Everything the table needs to know of a class. */
export interface TableKind<A> {
  readonly assets: ReadonlyMap<string, A>;
  readonly columns: readonly Column<A>[];
  readonly statuses: readonly { readonly value: string; readonly text: string }[];
  readonly statusOf: (asset: A) => string;
  readonly firstSort: string;
}

type AnyAsset = Asset<unknown>;

function nameColumns(script: Script): Column<AnyAsset>[] {
  const { words, language, picture } = script;
  return [
    {
      key: 'name',
      title: words.table.name,
      form: 'text',
      rank: 1,
      text: (asset) => assetName(asset, language),
      order: (asset) => assetName(asset, language),
    },
    {
      key: 'street',
      title: words.table.street,
      form: 'text',
      rank: 2,
      text: (asset) => streetName(asset, picture, language),
      order: (asset) => streetName(asset, picture, language) || null,
    },
    {
      key: 'id',
      title: words.table.id,
      form: 'text',
      rank: 3,
      text: (asset) => asset.id,
      order: (asset) => asset.id,
    },
  ];
}

function endColumns(script: Script): Column<AnyAsset>[] {
  const { words, format, now } = script;
  return [
    {
      key: 'quality',
      title: words.table.quality,
      form: 'text',
      rank: 3,
      text: ({ header }) => {
        if (header?.quality == null) return words.notKnown;
        const isGuess = header.clock === 'estimated' || header.clock === 'unset';
        return words.quality[header.quality] + (isGuess ? ` · ${words.clock[header.clock]}` : '');
      },
      order: ({ header }) => header?.quality ?? null,
    },
    {
      key: 'heard',
      title: words.table.heard,
      form: 'number',
      rank: 2,
      text: ({ header }) => (header?.at == null ? words.notKnown : words.ago(format.span(now - header.at))),
      order: ({ header }) => header?.at ?? null,
    },
  ];
}

/** A column whose value may be missing. */
function measured<A>(
  key: string,
  title: string,
  rank: 2 | 3,
  value: (asset: A) => number | null,
  text: (value: number) => string,
  missing: string,
): Column<A> {
  return {
    key,
    title,
    form: 'number',
    rank,
    order: value,
    text: (asset) => {
      const found = value(asset);
      return found === null ? missing : text(found);
    },
  };
}

export function bayTable(script: Script): TableKind<Bay> {
  const { words, format, now, picture } = script;
  const statusOf = (bay: Bay): string =>
    overstaySince(bay, now) !== null ? 'over' : (bay.state?.status ?? 'unknown');
  const label = (status: string): string =>
    status === 'over' ? words.overstay : words.bay[status as keyof typeof words.bay];
  const order = ['over', ...BAY_STATUSES];
  return {
    assets: picture.bays,
    firstSort: 'name',
    statusOf,
    statuses: order.map((value) => ({ value, text: label(value) })),
    columns: [
      ...nameColumns(script),
      {
        key: 'status',
        title: words.table.status,
        form: 'status',
        rank: 1,
        text: (bay) => label(statusOf(bay)),
        order: (bay) => order.indexOf(statusOf(bay)),
      },
      measured('for', words.table.forTime, 2, (bay) => ageOf(bay.state?.since, now), (ms) => format.span(ms), words.notKnown),
      measured('since', words.table.since, 3, (bay) => bay.state?.since ?? null, (at) => format.moment(at, now), words.notKnown),
      measured('max', words.table.maxStay, 3, (bay) => bay.info?.maxStayS ?? null, (s) => format.span(s * 1000), words.notKnown),
      ...endColumns(script),
    ],
  };
}

function ageOf(since: number | null | undefined, now: number): number | null {
  return since == null ? null : now - since;
}

export function binTable(script: Script): TableKind<Bin> {
  const { words, format, now, picture } = script;
  const statusOf = (bin: Bin): string => bin.state?.status ?? 'unknown';
  return {
    assets: picture.bins,
    firstSort: '-level',
    statusOf,
    statuses: BIN_STATUSES.map((value) => ({ value, text: words.bin[value] })),
    columns: [
      ...nameColumns(script),
      {
        key: 'status',
        title: words.table.status,
        form: 'status',
        rank: 1,
        text: (bin) => words.bin[bin.state?.status ?? 'unknown'],
        order: (bin) => BIN_STATUSES.indexOf(bin.state?.status ?? 'unknown'),
      },
      {
        key: 'level',
        title: words.table.level,
        form: 'level',
        rank: 1,
        text: (bin) => (bin.state?.levelPct == null ? words.unknown : format.percent(bin.state.levelPct)),
        order: (bin) => bin.state?.levelPct ?? null,
      },
      measured('full', words.table.fullAt, 2, (bin) => bin.state?.fullAt ?? null, (at) => format.moment(at, now), words.notKnown),
      measured('collected', words.table.collected, 3, (bin) => bin.state?.lastCollected ?? null, (at) => format.moment(at, now), words.notKnown),
      measured('temperature', words.table.temperature, 3, (bin) => bin.state?.temperatureC ?? null, (c) => format.unit(c, 'celsius', 1), words.notKnown),
      ...endColumns(script),
    ],
  };
}

export function vehicleTable(script: Script): TableKind<Vehicle> {
  const { words, format, picture } = script;
  const statusOf = (vehicle: Vehicle): string => vehicle.state?.activity ?? 'unknown';
  const [name, , id] = nameColumns(script);
  return {
    assets: picture.vehicles,
    firstSort: 'status',
    statusOf,
    statuses: ACTIVITIES.map((value) => ({ value, text: words.activity[value] })),
    columns: [
      ...(name && id ? [name, id] : []),
      {
        key: 'kind',
        title: words.table.kind,
        form: 'text',
        rank: 2,
        text: (vehicle) => (vehicle.info?.kind == null ? words.notKnown : named(words.vehicleKinds, vehicle.info.kind)),
        order: (vehicle) => vehicle.info?.kind ?? null,
      },
      {
        key: 'status',
        title: words.table.activity,
        form: 'status',
        rank: 1,
        text: (vehicle) => words.activity[vehicle.state?.activity ?? 'unknown'],
        order: (vehicle) => ACTIVITIES.indexOf(vehicle.state?.activity ?? 'unknown'),
      },
      { ...measured<Vehicle>('speed', words.table.speed, 2, (one) => one.state?.speedKmh ?? null, (v) => format.unit(v, 'kilometer-per-hour', 1), words.notKnown), rank: 1 },
      measured('course', words.table.course, 3, (one) => one.state?.courseDeg ?? null, (v) => format.unit(v, 'degree'), words.notKnown),
      measured('distance', words.table.distance, 2, (one) => one.state?.distanceM ?? null, (v) => format.metres(v), words.notKnown),
      measured('accuracy', words.table.accuracy, 3, (one) => one.state?.place?.haccM ?? null, (v) => `± ${format.metres(v)}`, words.notKnown),
      ...endColumns(script),
    ],
  };
}

/** Rows that match, in order. `sort` is a column's key, with `-` before it for descending. */
export function rows<A extends AnyAsset>(
  kind: TableKind<A>,
  script: Script,
  search: string,
  status: string,
  sort: string,
): A[] {
  const wanted = search.trim().toLowerCase();
  const found: A[] = [];
  for (const asset of kind.assets.values()) {
    if (status !== '' && kind.statusOf(asset) !== status) continue;
    if (wanted !== '' && !searchText(asset, script).includes(wanted)) continue;
    found.push(asset);
  }
  const isDescending = sort.startsWith('-');
  const key = isDescending ? sort.slice(1) : sort;
  const column = kind.columns.find((one) => one.key === key);
  if (column === undefined) return found;
  const collator = new Intl.Collator(script.words.tag, { numeric: true });
  const keyed = found.map((asset) => ({ asset, value: column.order(asset) }));
  keyed.sort((a, b) => compare(a.value, b.value, isDescending, collator) || collator.compare(a.asset.id, b.asset.id));
  return keyed.map((one) => one.asset);
}

function compare(
  a: number | string | null,
  b: number | string | null,
  isDescending: boolean,
  collator: Intl.Collator,
): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const ascending =
    typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b));
  return isDescending ? -ascending : ascending;
}

function searchText(asset: AnyAsset, script: Script): string {
  const names = Object.values(asset.info?.names ?? {}).join(' ');
  return `${names} ${asset.id} ${streetName(asset, script.picture, script.language)}`.toLowerCase();
}
