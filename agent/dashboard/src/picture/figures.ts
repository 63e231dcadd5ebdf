/** The figures of today and of the week as the boxes keep them on the broker. */

/** A day or a part of it on one bay or on the bays of a street. */
export interface ParkingDay {
  /** The local date, `2026-06-04`. */
  readonly date: string;
  /** `workday`, `weekend` or `holiday`, as the site's calendar has it. */
  readonly day: string | null;
  /** The end of the last hour in it; `null` when the day is over. */
  readonly until: number | null;
  readonly occupiedS: number;
  readonly freeS: number;
  readonly blindS: number;
  readonly outS: number;
  /** Stays that ended; `null` when too little was seen to say. */
  readonly sessions: number | null;
  /** Seconds per stay; `null` when nothing ended, or too little was seen. */
  readonly dwellS: number | null;
  /** What was billed, in the smallest unit of the currency. */
  readonly due: number;
  /** Stays that were left to a person. */
  readonly unbilled: number;
  /** Percent by local hour: `blind` where nobody saw enough, `null` where no hour was closed. */
  readonly hours: readonly (number | 'blind' | null)[];
}

export interface ParkingWeek {
  readonly today: ParkingDay | null;
  /** The days before, oldest first. */
  readonly days: readonly ParkingDay[];
  readonly currency: string | null;
}

/** A day of one bin or of the bins of a street. */
export interface WasteDay {
  readonly date: string;
  readonly overflowMs: number;
  readonly collections: number;
  /** Collections that came too early. */
  readonly early: number;
  readonly litres: number;
  readonly liftedG: number;
  readonly deposits: number;
  readonly violations: number;
}

/** What the bins of a street hold, and will hold if nothing is emptied. */
export interface Capacity {
  readonly bins: number;
  readonly unknown: number;
  readonly capacityL: number;
  readonly filledL: number;
  readonly full: number;
  readonly ahead: readonly { readonly hours: number; readonly filledL: number; readonly full: number }[];
}

export interface WasteWeek {
  readonly today: WasteDay | null;
  readonly days: readonly WasteDay[];
  readonly capacity: Capacity | null;
}

/** `P/<class>/<id>/figures`. */
export interface AssetFigures {
  /** When they were added up. */
  readonly at: number | null;
  readonly parking: ParkingWeek | null;
  readonly waste: WasteWeek | null;
}
