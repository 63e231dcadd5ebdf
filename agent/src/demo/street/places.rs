//! The streets and what stands in them.
//!
//! The names are those of streets of Xuejia, Xinbei district, Changzhou; the lines are drawn by hand in
//! WGS84 and are no survey. Everything else is made up.

use domain::decode::lorawan::Codec;
use domain::time::Span;

use super::{BaySpot, BinSpot, Leg, Line, Point, Round, Sensor, Street, at};

/// A bay or bin without a word from its sensor for this long is unknown, and worth a ticket. Three
/// keep-alives, see [`crate::demo::sensors::KEEP_ALIVE`].
pub const SILENT_AFTER: Span = Span::from_mins(15);

/// From the sensor to the bottom of every bin, in millimetres.
pub const BIN_EMPTY_MM: u32 = 1200;
/// From the sensor to the full line of every bin, in millimetres.
pub const BIN_FULL_MM: u32 = 200;
/// The level, in percent, from which a bin is full.
pub const BIN_FULL_AT_PCT: u32 = 80;

// Where streets meet.
const HUANGHE_XUEYE: Point = at(119.9641, 31.8182);
const HUANGHE_HENGSHAN: Point = at(119.9733, 31.8187);
const AOYUAN_XUEYE: Point = at(119.9648, 31.8146);
const AOYUAN_SHUNYUAN: Point = at(119.9679, 31.8150);
const AOYUAN_HENGSHAN: Point = at(119.9742, 31.8152);
const HANJIANG_XUEYE: Point = at(119.9652, 31.8120);
const HANJIANG_SHUNYUAN: Point = at(119.9701, 31.8125);
const HANJIANG_HENGSHAN: Point = at(119.9748, 31.8128);

/// Every street.
pub const STREETS: [Street; 6] = [
    Street {
        id: "huanghe-west",
        zh: "黄河西路",
        en: "Huanghe West Road",
        line: Line(&[
            at(119.9605, 31.8178),
            HUANGHE_XUEYE,
            at(119.9688, 31.8186),
            HUANGHE_HENGSHAN,
            at(119.9792, 31.8183),
        ]),
    },
    Street {
        id: "aoyuan",
        zh: "奥园路",
        en: "Aoyuan Road",
        line: Line(&[AOYUAN_XUEYE, AOYUAN_SHUNYUAN, at(119.9710, 31.8154), AOYUAN_HENGSHAN]),
    },
    Street {
        id: "hanjiang-west",
        zh: "汉江西路",
        en: "Hanjiang West Road",
        line: Line(&[
            at(119.9608, 31.8116),
            HANJIANG_XUEYE,
            HANJIANG_SHUNYUAN,
            HANJIANG_HENGSHAN,
            at(119.9795, 31.8127),
        ]),
    },
    Street {
        id: "xueye",
        zh: "薛冶路",
        en: "Xueye Road",
        line: Line(&[
            at(119.9657, 31.8103),
            HANJIANG_XUEYE,
            AOYUAN_XUEYE,
            at(119.9645, 31.8166),
            HUANGHE_XUEYE,
            at(119.9636, 31.8198),
        ]),
    },
    Street {
        id: "shunyuan",
        zh: "顺园路",
        en: "Shunyuan Road",
        line: Line(&[
            AOYUAN_SHUNYUAN,
            at(119.9683, 31.8140),
            at(119.9692, 31.8132),
            HANJIANG_SHUNYUAN,
        ]),
    },
    Street {
        id: "hengshan",
        zh: "衡山路",
        en: "Hengshan Road",
        line: Line(&[
            at(119.9755, 31.8104),
            HANJIANG_HENGSHAN,
            AOYUAN_HENGSHAN,
            at(119.9737, 31.8172),
            HUANGHE_HENGSHAN,
            at(119.9729, 31.8199),
        ]),
    },
];

const HUANGHE: usize = 0;
const AOYUAN: usize = 1;
const HANJIANG: usize = 2;
const XUEYE: usize = 3;
const SHUNYUAN: usize = 4;
const HENGSHAN: usize = 5;

pub(super) const LOADING: Span = Span::from_mins(15);
const SHORT: Span = Span::from_mins(60);
const LONG: Span = Span::from_mins(120);

const fn bay(street: usize, along: f64, right: f64, max_stay: Span, sensor: Sensor) -> BaySpot {
    BaySpot { street, along, right, max_stay, sensor }
}

const fn tps110(n: u64) -> Sensor {
    Sensor::LoRa(0x0000_9123_0004_4100 + n, Codec::BoschTps110)
}

/// Every bay: twelve with our nodes, eight with Bosch TPS110.
pub const BAYS: [BaySpot; 20] = [
    bay(SHUNYUAN, 60.0, 4.8, LOADING, Sensor::Node(101)),
    bay(SHUNYUAN, 67.0, 4.8, LOADING, tps110(1)),
    bay(SHUNYUAN, 74.0, 4.8, LOADING, Sensor::Node(102)),
    bay(SHUNYUAN, 81.0, 4.8, LOADING, tps110(2)),
    bay(SHUNYUAN, 120.0, -4.8, SHORT, Sensor::Node(103)),
    bay(SHUNYUAN, 127.0, -4.8, SHORT, Sensor::Node(104)),
    bay(SHUNYUAN, 134.0, -4.8, SHORT, tps110(3)),
    bay(SHUNYUAN, 141.0, -4.8, SHORT, Sensor::Node(105)),
    bay(AOYUAN, 120.0, 6.5, SHORT, Sensor::Node(106)),
    bay(AOYUAN, 127.0, 6.5, SHORT, tps110(4)),
    bay(AOYUAN, 134.0, 6.5, SHORT, Sensor::Node(107)),
    bay(AOYUAN, 430.0, -6.5, SHORT, Sensor::Node(108)),
    bay(AOYUAN, 437.0, -6.5, SHORT, tps110(5)),
    bay(AOYUAN, 444.0, -6.5, SHORT, Sensor::Node(109)),
    bay(XUEYE, 300.0, 8.2, LONG, tps110(6)),
    bay(XUEYE, 307.0, 8.2, LONG, Sensor::Node(110)),
    bay(XUEYE, 314.0, 8.2, LONG, tps110(7)),
    bay(XUEYE, 560.0, 8.2, LONG, Sensor::Node(111)),
    bay(XUEYE, 567.0, 8.2, LONG, Sensor::Node(112)),
    bay(XUEYE, 574.0, 8.2, LONG, tps110(8)),
];

const RECYCLABLE: (&str, &str) = ("可回收物", "recyclables");
const OTHER: (&str, &str) = ("其他垃圾", "residual waste");
const KITCHEN: (&str, &str) = ("厨余垃圾", "kitchen waste");

const fn bin(
    street: usize,
    along: f64,
    right: f64,
    kind: (&'static str, &'static str),
    sensor: Sensor,
) -> BinSpot {
    BinSpot { street, along, right, kind, sensor }
}

const fn milesight(n: u64, codec: Codec) -> Sensor {
    Sensor::LoRa(0x24E1_2471_3B00_0000 + n, codec)
}

/// Every bin: six with our nodes, three with Milesight EM310-UDL, three with Milesight EM400.
pub const BINS: [BinSpot; 12] = [
    bin(SHUNYUAN, 95.0, 7.0, OTHER, Sensor::Node(201)),
    bin(SHUNYUAN, 98.0, 7.0, RECYCLABLE, milesight(1, Codec::MilesightEm310Udl)),
    bin(SHUNYUAN, 230.0, -7.0, KITCHEN, milesight(2, Codec::MilesightEm400)),
    bin(AOYUAN, 60.0, -9.0, OTHER, Sensor::Node(202)),
    bin(AOYUAN, 330.0, 9.0, RECYCLABLE, milesight(3, Codec::MilesightEm310Udl)),
    bin(AOYUAN, 780.0, -9.0, OTHER, Sensor::Node(203)),
    bin(HANJIANG, 260.0, 14.0, OTHER, milesight(4, Codec::MilesightEm400)),
    bin(HANJIANG, 700.0, -14.0, OTHER, Sensor::Node(204)),
    bin(XUEYE, 120.0, -11.0, OTHER, milesight(5, Codec::MilesightEm310Udl)),
    bin(XUEYE, 660.0, 11.0, RECYCLABLE, Sensor::Node(205)),
    bin(HUANGHE, 900.0, 16.0, OTHER, milesight(6, Codec::MilesightEm400)),
    bin(HENGSHAN, 400.0, 12.0, OTHER, Sensor::Node(206)),
];

/// Both sweepers.
pub const SWEEPERS: [Round; 2] = [
    Round {
        plate: "苏D·X0107",
        legs: &[
            Leg::Sweep(Line(&[HANJIANG_XUEYE, HANJIANG_SHUNYUAN, HANJIANG_HENGSHAN])),
            Leg::Sweep(Line(&[HANJIANG_HENGSHAN, AOYUAN_HENGSHAN])),
            Leg::Sweep(Line(&[
                AOYUAN_HENGSHAN,
                at(119.9710, 31.8154),
                AOYUAN_SHUNYUAN,
                at(119.9683, 31.8140),
                at(119.9692, 31.8132),
                HANJIANG_SHUNYUAN,
            ])),
            Leg::Stop(Span::from_mins(3)),
            Leg::Travel(Line(&[HANJIANG_SHUNYUAN, HANJIANG_XUEYE])),
            Leg::Stop(Span::from_mins(2)),
        ],
        tunnel: (0.0, 0.0),
    },
    Round {
        plate: "苏D·X0112",
        legs: &[
            Leg::Sweep(Line(&[HUANGHE_HENGSHAN, at(119.9688, 31.8186), HUANGHE_XUEYE])),
            Leg::Sweep(Line(&[HUANGHE_XUEYE, at(119.9645, 31.8166), AOYUAN_XUEYE])),
            Leg::Stop(Span::from_mins(4)),
            Leg::Travel(Line(&[
                AOYUAN_XUEYE,
                AOYUAN_SHUNYUAN,
                at(119.9710, 31.8154),
                AOYUAN_HENGSHAN,
            ])),
            Leg::Sweep(Line(&[AOYUAN_HENGSHAN, at(119.9737, 31.8172), HUANGHE_HENGSHAN])),
            Leg::Stop(Span::from_mins(1)),
        ],
        // The underpass of Huanghe West Road.
        tunnel: (260.0, 350.0),
    },
];
