/**
 * A made-up street for looking at the page: geometry, assets, and how they change over time.
 *
 * Pure and seeded: the same seed and the same steps give the same street. Coordinates are WGS84 near
 * Changzhou; the streets are invented.
 */

const LAT = 31.81;
const LON = 119.974;
const METRES_PER_DEGREE = 111_195;

/** A small repeatable source of numbers from 0 to 1 (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const round = (value) => Math.round(value * 1e7) / 1e7;

/** From metres east and north of the middle to degrees. */
export function degrees([east, north]) {
  const lat = LAT + north / METRES_PER_DEGREE;
  return { lat: round(lat), lon: round(LON + east / (METRES_PER_DEGREE * Math.cos((LAT * Math.PI) / 180))) };
}

const STREETS = [
  { id: 'xuejia-lu', zh: '薛家路', en: 'Xuejia Road', line: [[-640, -30], [-420, -22], [-200, 0], [60, 8], [330, 4], [640, -26]] },
  { id: 'tianmu-lu', zh: '天目路', en: 'Tianmu Road', line: [[-230, 330], [-222, 140], [-200, 0], [-190, -160], [-196, -330]] },
  { id: 'huashan-lu', zh: '华山路', en: 'Huashan Road', line: [[300, 330], [318, 150], [330, 4], [326, -170], [312, -330]] },
  { id: 'heyuan-jie', zh: '河苑街', en: 'Heyuan Street', line: [[-226, 205], [-60, 214], [130, 212], [308, 220]] },
  { id: 'nanping-jie', zh: '南屏街', en: 'Nanping Street', line: [[-193, -212], [0, -222], [160, -218], [322, -208]] },
  { id: 'cuizhu-xiang', zh: '翠竹巷', en: 'Cuizhu Lane', line: [[62, 8], [54, 110], [58, 213]] },
];

/** The point at a distance along a line, and the direction there. */
export function along(line, distance) {
  let left = distance;
  for (let i = 1; i < line.length; i += 1) {
    const [ax, ay] = line[i - 1];
    const [bx, by] = line[i];
    const length = Math.hypot(bx - ax, by - ay);
    if (left <= length || i === line.length - 1) {
      const t = Math.min(1, left / length);
      return { at: [ax + (bx - ax) * t, ay + (by - ay) * t], dx: (bx - ax) / length, dy: (by - ay) / length };
    }
    left -= length;
  }
  return { at: line[0], dx: 1, dy: 0 };
}

export function lengthOf(line) {
  return line.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - line[i][0], y - line[i][1]), 0);
}

/** A place beside the road: metres to the left of the direction of travel. */
function beside(line, distance, left) {
  const { at, dx, dy } = along(line, distance);
  return [at[0] - dy * left, at[1] + dx * left];
}

/** Whether a point keeps clear of every other street, so that no bay lies in a junction. */
function isClear(streets, point, own) {
  return streets.every(
    (street) => street === own || Array.from({ length: Math.ceil(lengthOf(street.line) / 4) }, (_, i) => along(street.line, i * 4).at)
      .every(([x, y]) => Math.hypot(x - point[0], y - point[1]) > 15),
  );
}

/** The streets, longer when they have to hold a city's bays: a bay every few metres, not in every square metre. */
function streetsFor(bays) {
  const by = Math.max(1, bays / 750);
  return STREETS.map((street) => ({ ...street, line: street.line.map(([x, y]) => [x * by, y * by]) }));
}

function makeBays(streets, count) {
  const bays = [];
  // Rows of bays along both kerbs; a second and third row stand for car parks when many are asked for.
  for (let row = 0; bays.length < count && row < 60; row += 1) {
    for (const street of streets) {
      const length = lengthOf(street.line);
      for (let at = 26; at < length - 20 && bays.length < count; at += 6.6) {
        const group = Math.floor(at / 80);
        if (row < 2 && count < 400 && (group + street.id.length) % 3 === 0) continue;
        const side = row % 2 === 0 ? 1 : -1;
        const point = beside(street.line, at, side * (8 + 4 * Math.floor(row / 2)));
        if (count < 400 && !isClear(streets, point, street)) continue;
        if (count < 400 && street.id !== 'xuejia-lu' && row % 2 === 1) continue;
        bays.push({ street, point, number: bays.length + 1 });
      }
    }
  }
  return bays;
}

function makeBins(streets, count) {
  const bins = [];
  for (let i = 0; bins.length < count && i < count * 8; i += 1) {
    const street = streets[i % streets.length];
    const length = lengthOf(street.line);
    const at = 34 + ((i * 71.3) % (length - 68));
    const point = beside(street.line, at, (i % 2 === 0 ? 1 : -1) * 13.5);
    if (count < 200 && !isClear(streets, point, street)) continue;
    bins.push({ street, point, number: bins.length + 1 });
  }
  return bins;
}

/** Streets, bays, bins and vehicles with their retained `info`. */
export function makeStreet({ bays = 96, bins = 22, seed = 1 } = {}) {
  const random = randomOf(seed);
  const streets = streetsFor(bays);
  return {
    random,
    streets: streets.map((street) => ({
      id: street.id,
      info: {
        names: { zh: street.zh, en: street.en },
        geometry: {
          type: 'LineString',
          coordinates: street.line.map((point) => {
            const { lat, lon } = degrees(point);
            return [lon, lat];
          }),
        },
      },
    })),
    bays: makeBays(streets, bays).map(({ street, point, number }) => ({
      id: `b-${1000 + number}`,
      info: {
        names: { zh: `${street.zh} ${number} 号泊位`, en: `${street.en} bay ${number}` },
        position: { ...degrees(point), datum: 'WGS84' },
        street: street.id,
        max_stay_s: number % 3 === 0 ? 1800 : 7200,
      },
    })),
    bins: makeBins(streets, bins).map(({ street, point, number }) => ({
      id: `bin-${number}`,
      info: {
        names: { zh: `${street.zh} ${number} 号垃圾箱`, en: `${street.en} bin ${number}` },
        position: { ...degrees(point), datum: 'WGS84' },
        street: street.id,
        capacity_l: 240,
        full_at_pct: 80,
      },
    })),
    vehicles: [
      { id: 'sweeper-07', info: { names: { zh: '清扫车 07', en: 'Sweeper 07' }, kind: 'sweeper' }, line: streets[0].line, activity: 'working', speed: 8.4 },
      { id: 'collector-02', info: { names: { zh: '清运车 02', en: 'Collector 02' }, kind: 'collector' }, line: streets[4].line, activity: 'travelling', speed: 21 },
      { id: 'washer-03', info: { names: { zh: '洗扫车 03', en: 'Washer 03' }, kind: 'washer' }, line: streets[5].line, activity: 'parked', speed: 0 },
    ],
  };
}
