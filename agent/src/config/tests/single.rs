//! One fault at a time: where it is, what it says, and what it says to do.

use super::super::*;
use super::{NEXT, errors, with_base};

/// What follows [`super::BASE`]; line and column of its one error, lines counted from its beginning; a
/// part of the cause; a part of the fix.
type Case = (&'static str, (usize, usize), &'static str, &'static str);

#[test]
fn each_fault_has_its_place_and_its_fix() {
    let cases =
        [KEYS, IDS, VALUES, SOURCES, FEEDS, ASSETS, RULES, CONDITIONS, TARIFFS, BINS, UPLINKS];
    for (text, place, cause, fix) in cases.into_iter().flatten() {
        let found = errors(&with_base(text));
        assert!(found.len() == 1, "{text}: {}", Faults::from(found.clone()));
        let first = &found[0];
        assert_eq!((first.place.line + 1 - NEXT, first.place.col), *place, "{text}: {first}");
        assert!(first.cause.contains(cause), "{text}: {first}");
        assert!(first.fix.contains(fix), "{text}: {first}");
    }
}

const KEYS: &[Case] = &[
    (
        "[[bay]]\nid = \"a\"\nsource = \"nodes\"\n  devcie = 3\ndevice = 3",
        (4, 3),
        "unknown key \"devcie\" in [[bay]]",
        "did you mean \"device\"?",
    ),
    ("[[bya]]\nid = \"a\"", (1, 3), "unknown section [[bya]]", "did you mean \"bay\"?"),
    ("[gauge]\nid = \"a\"", (1, 2), "section [gauge] is not built into this version", "bay"),
    ("[[tickets]]\nkeep_closed = \"1d\"", (1, 1), "must be a section [tickets]", "[tickets]"),
    ("[bay]\nid = \"a\"", (1, 1), "must be a section [[bay]]", "write [[bay]]"),
    ("[http]\n[buffer]\nmax_sice = \"1GB\"", (3, 1), "in [buffer]", "\"max_size\""),
    (
        "[[bin]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 1\nempty_mm = 900",
        (1, 1),
        "\"full_mm\" is missing in [[bin]]",
        "add full_mm = 300",
    ),
    (
        "@bay\nposition = { lat = 31.8, lon = 119.9, dtaum = \"WGS84\" }",
        (5, 39),
        "unknown key \"dtaum\" in position of [[bay]]",
        "did you mean \"datum\"?",
    ),
];

const IDS: &[Case] = &[
    (
        "[[bay]]\nid = \"B_1\"\nsource = \"nodes\"\ndevice = 1",
        (2, 6),
        "has 'B' at position 1",
        "write \"b-1\"",
    ),
    (
        "[[bay]]\nid = 7\nsource = \"nodes\"\ndevice = 1",
        (2, 6),
        "\"id\" in [[bay]] cannot be a whole number",
        "double quotes",
    ),
    (
        "@bay\n[[bay]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 2",
        (6, 6),
        "two assets called bay/a; first at t.toml:20:6",
        "own id",
    ),
];

const VALUES: &[Case] = &[
    ("[buffer]\nmax_size = 256", (2, 12), "cannot be a whole number", "\"256MiB\""),
    ("[buffer]\nmax_size = \"256\"", (2, 12), "\"256\" is no size", "MiB"),
    ("[buffer]\nmax_size = \"1KB\"", (2, 12), "out of range", "write 1MiB to 1024GiB"),
    ("[buffer]\ncommit_every = 1", (2, 16), "cannot be a whole number", "\"1s\""),
    ("[buffer]\ncommit_every = \"soon\"", (2, 16), "\"soon\" is no time", "\"90s\""),
    ("[buffer]\ncommit_every = \"1h\"", (2, 16), "out of range", "10ms to 10s"),
    ("[buffer]\ndir = \"\"", (2, 7), "\"dir\" is no path", "path"),
    ("[http]\nenabled = \"no\"", (2, 11), "cannot be a text", "true or false"),
    ("[http]\nlisten = \"localhost:80\"", (2, 10), "is no address", "\"127.0.0.1:8080\""),
    (
        "[http]\nlisten = \"127.0.0.1:1883\"",
        (2, 10),
        "port 1883 of this machine is the broker's",
        "another port",
    ),
    ("[http]\ntiles = \"https://x\"", (2, 9), "cannot be a text", "{ url ="),
    (
        "[http]\ntiles = { url = \"https://x/{z}/{x}\", attribution = \"©\" }",
        (2, 17),
        "has no {y}",
        "row",
    ),
    (
        "[http]\ntiles = { url = \"https://a;b/{z}/{x}/{y}\", attribution = \"©\" }",
        (2, 17),
        "names no server",
        "https://",
    ),
    ("[tickets]\nreopen_within = \"99999h\"", (2, 17), "out of range", "write 0s to 90d"),
];

const SOURCES: &[Case] = &[
    (
        "[[source]]\nname = \"x\"\nkind = \"nmae\"\ndevice = \"/dev/x\"",
        (3, 8),
        "unknown kind \"nmae\"",
        "did you mean \"nmea\"?",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"gpsd\"\naddress = \"localhost\"",
        (4, 11),
        "\"address\" \"localhost\" is no address",
        "127.0.0.1:2947",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"ttn\"\ntopic = \"v3/#/up\"",
        (4, 9),
        "is no topic filter",
        "# only as the last one",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"jt808\"\nlisten = \"x\"",
        (4, 10),
        "\"x\" is no address to listen on",
        "0.0.0.0:6808",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"jt808\"\nterminal = [{ phone = \"x\" }]",
        (4, 23),
        "\"x\" is no phone number",
        "1 to 20 digits",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"jt808\"\nworking = { field = \"io\", bit = 16 }",
        (4, 11),
        "io has no bit 16",
        "its highest is 15",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"modbus-rtu\"\ndevice = \"/dev/x\"",
        (1, 1),
        "\"station\" is missing",
        "[[source.station]]",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"modbus-tcp\"\naddress = \"h:502\"\n\
         [[source.station]]\naddress = 1\ndevice = \"d\"\nregister = [{ quantity = \"distanse\", address = 1 }]",
        (8, 26),
        "\"distanse\" is no quantity",
        "did you mean \"distance\"?",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"modbus-tcp\"\naddress = \"h:502\"\n\
         [[source.station]]\naddress = 1\ndevice = \"d\"\nregister = [{ quantity = \"distance\", address = 1, \
         table = \"coil\", type = \"u16\" }]",
        (8, 13),
        "the coil table has no u16",
        "bits stand in coil and discrete",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"can\"\nsignal = [{ pgn = 0xFEF1, start = 60, length = 8, \
         quantity = \"speed\" }]\ninterface = \"can0\"",
        (4, 11),
        "begins at bit 60 and with 8 bits leaves the frame",
        "correct it",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"can\"\ninterface = \"can0\"\nsignal = [{ id = 0x18FEF100, \
         start = 0, length = 8, quantity = \"speed\" }]",
        (5, 11),
        "the id has more than 11 bits",
        "add extended = true",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"mqtt-json\"\ntopic = \"a/+\"\n[source.map]\n\
         device = \"id\"\nquantity = [{ name = \"occupied\", pointer = \"/a\" }]",
        (6, 10),
        "\"id\" is no JSON pointer",
        "correct it",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"mqtt-json\"\ntopic = \"a/+\"\n[source.map]\n\
         quantity = [{ name = \"distance\", pointer = \"/a\", unit = \"furlong\" }]",
        (6, 57),
        "distance is not measured in \"furlong\"",
        "there are mm, cm, m, in",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"http-json\"\nevery = \"5m\"\nmap = { quantity = [{ name = \
         \"occupied\", pointer = \"/a\" }] }",
        (4, 9),
        "\"every\" is of no use where nothing is asked for",
        "add url",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"local\"\nchip = [{ device = \"a\", chip = \"input\", pin = 4, \
         signal = \"fire\" }, { device = \"b\", chip = \"hc-sr04\", trigger = 4, echo = 5 }]",
        (4, 69),
        "pin 4 has two uses",
        "give each its own",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"local\"\nchip = [{ device = \"a\", chip = \"adxl345\", \
         address = 0x20 }]",
        (4, 9),
        "the chip is at 0x1d or 0x53",
        "write one of the two",
    ),
    (
        "[[source]]\nname = \"nodes\"\nkind = \"nmea\"\ndevice = \"/dev/x\"",
        (2, 8),
        "two sources called nodes; first at t.toml:8:1",
        "own name",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"nmea\"\ndevice = \"/dev/serial0\"",
        (4, 10),
        "/dev/serial0 is read by two sources; first at t.toml:15:10",
        "one source",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"nmea\"\ndevice = \"/dev/x\"\nbaud = 96",
        (5, 8),
        "\"baud\" is out of range",
        "300 to 4000000",
    ),
    (
        "[[source]]\nname = \"x\"\nkind = \"nmea\"\ndevice = \"/dev/x\"\ntopic = \"a/#\"",
        (5, 1),
        "unknown key \"topic\" in [[source]]",
        "there are: name, kind, device, baud",
    ),
    ("@lns\ntopic = \"a/#/b\"", (4, 9), "is no topic filter", "# only as the last one"),
    (
        "@lns\nurl = \"mqtt://me:pw@host\"",
        (4, 7),
        "password has no place in the url",
        "password_file",
    ),
    (
        "@lns\npassword = \"pw\"",
        (4, 12),
        "password has no place in the configuration",
        "password_file",
    ),
    (
        "@lns\npassword_file = \"/nowhere/pw\"",
        (4, 17),
        "/nowhere/pw cannot be read: there is no such file",
        "who may read",
    ),
    ("@lns\nca_file = \"/nowhere/ca\"", (4, 11), "without TLS has no certificates", "mqtts://"),
    ("@lns\nkeep_alive = \"7500ms\"", (4, 14), "no whole number of seconds", "write seconds"),
];

const FEEDS: &[Case] = &[
    (
        "[[bay]]\nid = \"a\"\nsource = \"nods\"\ndevice = 1",
        (3, 10),
        "no source is called nods",
        "did you mean \"nodes\"?",
    ),
    (
        "[[bay]]\nid = \"a\"\nsource = \"nodes\"",
        (1, 1),
        "\"device\" is missing in [[bay]]",
        "device = 17",
    ),
    (
        "[[bay]]\nid = \"a\"\nsource = \"nodes\"\ndevice = \"0x11\"",
        (4, 10),
        "no number of a node",
        "4294967294",
    ),
    (
        "[[bay]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 4294967295",
        (4, 10),
        "no number of a node",
        "4294967294",
    ),
    (
        "[[bin]]\nid = \"a\"\nsource = \"lns\"\ndevice = \"24e124\"\nempty_mm = 900\nfull_mm = 200",
        (4, 10),
        "\"24e124\" is no DevEUI",
        "16 hexadecimal digits",
    ),
    (
        "[[vehicle]]\nid = \"a\"\nkind = \"sweeper\"\nsource = \"gnss\"\ndevice = \"x\"",
        (5, 10),
        "the source is one device",
        "remove device",
    ),
    (
        "@bay\n[[bin]]\nid = \"a\"\nsource = \"nodes\"\ndevice = \"1\"\nempty_mm = 900\nfull_mm = 200",
        (8, 10),
        "device 1 of source nodes feeds both bay/a and bin/a",
        "one asset",
    ),
    (
        "@vehicle\n[[vehicle]]\nid = \"b\"\nkind = \"other\"\nsource = \"gnss\"",
        (8, 10),
        "source gnss feeds both vehicle/a and vehicle/b",
        "one asset",
    ),
    (
        "[[bay]]\nid = \"a\"\nsource = \"lns\"\ndevice = \"24e124713b000001\"\ncodec = \"bosch/tps11\"",
        (5, 9),
        "unknown codec \"bosch/tps11\"",
        "did you mean \"bosch/tps110\"?",
    ),
    (
        "@bay\ncodec = \"bosch/tps110\"",
        (5, 9),
        "only devices of a network server have a codec",
        "remove codec",
    ),
];

const ASSETS: &[Case] = &[
    (
        "@bay\nposition = { lat = 119.974, lon = 31.811 }",
        (5, 12),
        "latitude 119.974 is outside -90 to 90",
        "are lat and lon swapped?",
    ),
    ("@bay\nposition = { lat = 0.0, lon = 0 }", (5, 12), "both 0", "leave the position out"),
    (
        "@bay\nposition = { lat = 31.8, lon = 119.9, datum = \"GCJ-02\" }",
        (5, 47),
        "unknown \"datum\" \"GCJ-02\"",
        "did you mean \"GCJ02\"?",
    ),
    (
        "@bay\nstreet = \"high-street\"",
        (5, 10),
        "no street is called high-street",
        "there are none",
    ),
    ("@bay\nname = \"A\"\nnames = { en = \"A\" }", (5, 8), "both name and names", "one of the two"),
    ("@bay\nnames = { e = \"A\" }", (5, 15), "\"e\" is no language", "zh, en"),
    (
        "[[bin]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 1\nempty_mm = 300\nfull_mm = 300",
        (6, 11),
        "full_mm must be smaller than empty_mm",
        "full line",
    ),
    (
        "@bin\nclear_at_pct = 90",
        (7, 16),
        "clear_at_pct (90) must be below full_at_pct (85)",
        "below",
    ),
    ("@bin\nfull_at_pct = 101", (7, 15), "\"full_at_pct\" is out of range", "0 to 100"),
    (
        "[[vehicle]]\nid = \"a\"\nkind = \"sweper\"\nsource = \"gnss\"",
        (3, 8),
        "unknown \"kind\" \"sweper\"",
        "did you mean \"sweeper\"?",
    ),
    ("@vehicle\nwork_speed_max = 15", (5, 18), "cannot be a whole number", "\"15 km/h\""),
    ("@vehicle\nwork_speed_max = \"15 mph\"", (5, 18), "\"15 mph\" is no speed", "\"15 km/h\""),
    (
        "[[street]]\nid = \"a\"\nline = [[119.9, 31.8], [119.9, 31.9]]\nsweep = { windows = [\"mon 6-9\"] }",
        (4, 22),
        "\"mon 6-9\" is no window",
        "mon-fri 06:00-09:00",
    ),
    (
        "[[street]]\nid = \"a\"\nline = [[119.9, 31.8], [119.9, 31.9]]\nsweep = { windows = [] }",
        (4, 21),
        "there is no window",
        "add one",
    ),
    ("[[street]]\nid = \"a\"\nline = [[119.9, 31.8]]", (3, 8), "at least two points", "add"),
    (
        "[[street]]\nid = \"a\"\nline = [[119.9, 31.8], [31.8, 119.9]]",
        (3, 24),
        "latitude 119.9 is outside",
        "swapped?",
    ),
    (
        "[[street]]\nid = \"a\"\nline = [[119.9, 31.8], [119.9]]",
        (3, 24),
        "a point has two numbers",
        "[lon, lat]",
    ),
];

const CONDITIONS: &[Case] = &[
    (
        "@rule\nwhen = { outside = \"temprature_c\", from = 0, to = 50 }",
        (5, 20),
        "unknown fact \"temprature_c\"",
        "did you mean \"temperature_c\"?",
    ),
    (
        "@rule\nwhen = { outside = \"lid_open\", from = 0, to = 1 }",
        (5, 20),
        "lid_open is so or not",
        "raise_at = 1",
    ),
    (
        "@rule\nwhen = { outside = \"temperature_c\", from = 50, to = 5 }",
        (5, 53),
        "ends where it begins",
        "higher to",
    ),
    (
        "@rule\nwhen = { outside = \"temperature_c\", from = 0, to = 500 }",
        (5, 52),
        "\"to\" is out of range",
        "-60 to 120",
    ),
    (
        "@rule\nwhen = { outside = \"temperature_c\", from = 0, to = 50, margin = 25 }",
        (5, 65),
        "no value is inside again",
        "less than half",
    ),
    (
        "@rule\nwhen = { rises = \"level_pct\", by = 0, within = \"5m\" }",
        (5, 36),
        "\"by\" is nothing",
        "more than 0",
    ),
    (
        "@rule\nwhen = { rises = \"level_pct\", by = 150, within = \"5m\" }",
        (5, 36),
        "\"by\" is out of range",
        "0 to 100",
    ),
    (
        "@rule\nwhen = { rises = \"level_pct\", by = 10, clear_by = 10, within = \"5m\" }",
        (5, 51),
        "clear_by must be below by",
        "smaller",
    ),
    (
        "@rule\nwhen = { rises = \"level_pct\", by = 10 }",
        (5, 8),
        "\"within\" is missing in when of [[rule]]",
        "within = \"5m\"",
    ),
    ("@rule\nwhen = { missing = \"level_pct\" }", (5, 8), "\"after\" is missing", "after = \"6h\""),
    (
        "@rule\nwhen = { stuck = \"level_pct\", band = 50, after = \"1d\" }",
        (5, 38),
        "everything is within this band",
        "smaller",
    ),
    (
        "@rule\nwhen = { in_zone = \"depot-2\" }",
        (5, 20),
        "no zone is called depot-2",
        "there are none",
    ),
    (
        "@rule\nwhen = { count = \"lid_open\", times = 1, within = \"1h\" }",
        (5, 38),
        "\"times\" is out of range",
        "2 to 32",
    ),
    (
        "@rule\nwhen = { count = \"lid_open\", times = 5, clear_times = 5, within = \"1h\" }",
        (5, 55),
        "clear_times must be below times",
        "smaller",
    ),
    (
        "@rule\nwhen = { count = \"level_pct\", times = 5, within = \"1h\" }",
        (5, 8),
        "\"above\" is missing",
        "above = 80",
    ),
    (
        "@rule\nwhen = { forecast = \"level_pct\", within = \"2h\", over = \"6h\" }",
        (5, 8),
        "\"rises_to\" is missing",
        "rises_to = 95",
    ),
    (
        "@rule\nwhen = { forecast = \"level_pct\", rises_to = 9, falls_to = 5, within = \"2h\", over = \"6h\" }",
        (5, 8),
        "rise to one value and fall",
        "keep one",
    ),
    (
        "@rule\nwhen = { sees = \"truck\", dwell = \"3m\" }",
        (5, 17),
        "a camera looks at bays",
        "class = \"bay\"",
    ),
    (
        "@rule\nwhen = { during = [\"00:00-24:00\"] }",
        (5, 19),
        "that is always",
        "hours or the days",
    ),
    ("@rule\nwhen = { during = [\"22:00\"] }", (5, 20), "is no period", "HH:MM-HH:MM"),
    (
        "@rule\nwhen = { during = [\"22:00-06:00\"], days = [\"sunday\"] }",
        (5, 44),
        "unknown \"days\" \"sunday\"",
        "workday",
    ),
    (
        "@rule\nwhen = { all = [{ silent = true }] }",
        (5, 16),
        "puts two conditions together",
        "add one",
    ),
    (
        "@rule\nwhen = { all = [{ silent = true }, { abvoe = \"level_pct\" }] }",
        (5, 36),
        "\"all\" does not say when",
        "above",
    ),
    (
        "@rule\nwhen = { any = [{ silent = true }, { above = \"level_pct\", raise_at = 120, clear_at = 60 }] }",
        (5, 70),
        "\"raise_at\" is out of range",
        "0 to 100",
    ),
    (
        "@rule\nwhen = { not = { below = \"level_pct\", raise_at = 20, clear_at = 10 } }",
        (5, 65),
        "clear_at must be above raise_at",
        "above raise_at",
    ),
    (
        "@rule\nseverity = \"critical\"\nquiet = { hours = [\"22:00-07:00\"] }\nwhen = { silent = true }",
        (6, 9),
        "critical has no quiet hours",
        "lower severity",
    ),
    (
        "@rule\nquiet = { hours = [\"00:00-24:00\"] }\nwhen = { silent = true }",
        (5, 9),
        "never end",
        "when they end",
    ),
    (
        "@rule\nescalate = [{ after = \"4h\", to = \"low\" }]\nwhen = { silent = true }",
        (5, 13),
        "later and worse",
        "it was medium before",
    ),
    (
        "@rule\nescalate = [{ after = \"4h\", to = \"high\" }, { after = \"4h\", to = \"critical\" }]\nwhen = { silent = true }",
        (5, 44),
        "later and worse",
        "it was high before",
    ),
    (
        "@rule\nevidence = [\"speed_kmh\"]\nwhen = { silent = true }",
        (5, 13),
        "a bin has no speed_kmh",
        "a bin has level_pct",
    ),
    (
        "@rule\nwhen = { silent = true }\ntest = [{ given = [{ at = \"0s\", levl_pct = 5 }], raised = [] }]",
        (6, 44),
        "\"levl_pct\" is nothing that can be told here",
        "did you mean \"level_pct\"?",
    ),
    (
        "@rule\nwhen = { silent = true }\ntest = [{ given = [{ at = \"1h\", level_pct = 5 }, { at = \"0s\" }], raised = [] }]",
        (6, 50),
        "before the one above it",
        "sort them",
    ),
    (
        "@rule\nwhen = { silent = true }\ntest = [{ given = [{ at = \"0s\", level_pct = 5 }] }]",
        (6, 9),
        "\"raised\" is missing",
        "raised = [\"10m\"]",
    ),
    (
        "@rule\nwhen = { silent = true }\ntest = [{ given = [{ at = \"0s\", level_pct = 105 }], raised = [] }]",
        (6, 45),
        "\"level_pct\" is out of range",
        "0 to 100",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = 80, clear_at = 60 }\ntest = [{ given = [{ at = \"10m\", level_pct = 85 }], raised = [] }]",
        (6, 62),
        "the example says raised never, but r is raised at 10m",
        "it is raised when level_pct is at or above 80%; over at or below 60%; raised at 10m: level_pct 85 %, at or above 80 %",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = 80, clear_at = 60 }\ntest = [{ given = [{ at = \"10m\", level_pct = 85 }], raised = [\"10m\"], cleared = [\"20m\"] }]",
        (6, 81),
        "the example says cleared at 20m, but r is cleared never",
        "over at or below 60%",
    ),
];

const RULES: &[Case] = &[
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = 80, clear_at = 60, readings = 9 }",
        (5, 72),
        "\"readings\" is out of range",
        "1 to 8",
    ),
    ("[rules]\ndefault = false", (2, 1), "unknown key \"default\"", "\"defaults\""),
    (
        "[[rule]]\nid = \"r\"\nclass = \"bni\"\ncategory = \"overstay\"\nwhen = { silent = true }",
        (3, 9),
        "unknown \"class\" \"bni\"",
        "did you mean \"bin\"?",
    ),
    (
        "[[rule]]\nid = \"r\"\nclass = \"bin\"\ncategory = \"Bin Full\"\nwhen = { silent = true }",
        (4, 12),
        "has 'B' at position 1",
        "\"bin_full\"",
    ),
    (
        "@rule\nwhen = { silent = true }\n[[rule]]\nid = \"r\"\nclass = \"bay\"\ncategory = \"overstay\"\nwhen = { silent = true }",
        (7, 6),
        "two rules called r; first at t.toml:20:6",
        "own id",
    ),
    ("@rule\nwhen = { hold = \"1m\" }", (5, 8), "does not say when", "silent, all, any, not"),
    (
        "@rule\nwhen = { silent = true, below = \"battery_pct\" }",
        (5, 8),
        "says several things: below, silent",
        "all = [",
    ),
    (
        "@rule\nwhen = { silent = false }",
        (5, 19),
        "silent = false is no condition",
        "remove the rule",
    ),
    (
        "@rule\nwhen = { silent = true, grace = \"1m\" }",
        (5, 25),
        "unknown key \"grace\" in when of [[rule]]",
        "after",
    ),
    (
        "@rule\nwhen = { overstay = true }",
        (5, 21),
        "only a bay can be overstayed",
        "class = \"bay\"",
    ),
    (
        "[[rule]]\nid = \"r\"\nclass = \"bay\"\ncategory = \"overstay\"\nwhen = { above = \"level_pct\", raise_at = 80, clear_at = 60 }",
        (5, 18),
        "a bay has no level_pct",
        "a bay has temperature_c, battery_pct, battery_v",
    ),
    (
        "@rule\nwhen = { above = \"temperatur_c\", raise_at = 80, clear_at = 60 }",
        (5, 18),
        "unknown fact \"temperatur_c\"",
        "did you mean \"temperature_c\"?",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = 120, clear_at = 60 }",
        (5, 42),
        "\"raise_at\" is out of range",
        "0 to 100",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = 80, clear_at = 80 }",
        (5, 57),
        "clear_at must be below raise_at",
        "above",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = \"clear_at\", clear_at = \"full_at\" }",
        (5, 65),
        "clear_at must be below raise_at",
        "above",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = \"fullat\", clear_at = 60 }",
        (5, 42),
        "\"fullat\" is no threshold",
        "\"full_at\"",
    ),
    (
        "@rule\nwhen = { below = \"battery_pct\", raise_at = 20, clear_at = 10 }",
        (5, 59),
        "clear_at must be above raise_at",
        "below",
    ),
    (
        "@rule\nwhen = { below = \"battery_pct\", raise_at = \"full_at\", clear_at = 10 }",
        (5, 44),
        "only level_pct",
        "a number",
    ),
    (
        "@rule\nwhen = { above = \"level_pct\", raise_at = \"full_at\", clear_at = 82 }\n@bin\nfull_at_pct = 80",
        (5, 64),
        "clear_at must be below raise_at for bin/a",
        "above",
    ),
];

const TARIFFS: &[Case] = &[
    (
        "@bay\n[[tariff]]\nid = \"t\"\nwindows = [\n  { name = \"day\", from = \"07:30\", to = \"22:00\", \
         tiers = [{ unit = 60, price = 500 }] },\n  { name = \"night\", from = \"21:30\", to = \"07:30\", \
         tiers = [{ unit = 60, price = 200 }] },\n]",
        (9, 3),
        "window \"night\" overlaps window \"day\" from 21:30 to 22:00 on any day",
        "let one end where the other begins",
    ),
    (
        "@bay\n[[tariff]]\nid = \"t\"\nwindows = [\n  { name = \"day\", from = \"07:30\", to = \"22:00\", \
         tiers = [{ unit = 60, price = 500 }] },\n  { name = \"night\", from = \"23:00\", to = \"07:30\", \
         tiers = [{ unit = 60, price = 200 }] },\n]",
        (8, 3),
        "no window from 22:00 to 23:00 on any day",
        "let the windows cover the whole day",
    ),
    (
        "@bay\n[[tariff]]\nid = \"t\"\nwindows = [{ name = \"day\", from = \"00:00\", to = \"24:00\", \
         tiers = [{ unit = 60, price = -5 }] }]",
        (7, 88),
        "price",
        "0",
    ),
    (
        "@bay\n[[tariff]]\nid = \"t\"\ncaps = [{ per = \"stay\", max = 100 }]\nwindows = [{ name = \"day\", \
         from = \"00:00\", to = \"24:00\", tiers = [{ unit = 60, price = 500 }] }]",
        (7, 9),
        "the cap of 100 per stay is below the first unit of 500",
        "raise the cap",
    ),
    ("@bay\ntariff = \"nightly\"", (5, 10), "no tariff is called nightly", ""),
    (
        "@bay\n[[permit]]\nid = \"p-1\"\nbays = [\"b-7\"]",
        (7, 9),
        "no bay is called b-7",
        "leave bays out",
    ),
];

const BINS: &[Case] = &[
    ("@bin\nshape = \"cone\"", (7, 9), "unknown \"shape\" \"cone\"", "prism"),
    (
        "@bin\nshape = \"tapered\"\ntop_mm = 550",
        (1, 1),
        "\"bottom_mm\" is missing",
        "bottom_mm = 400",
    ),
    (
        "@bin\nshape = \"cylinder\"\ndiameter_mm = 500",
        (8, 15),
        "diameter_mm (500) is less than the 600 mm",
        "inner diameter",
    ),
    (
        "@bin\nshape = \"table\"\nlevels = [[0, 0], [400, 25], [300, 100]]",
        (8, 10),
        "point 3 is not above the one before it",
        "upwards from [0, 0]",
    ),
    ("@bin\nmedian_of = 4", (7, 13), "the median of 4 is not one reading", "1, 3, 5, 7 or 9"),
    ("@bin\ndiameter_mm = 1200", (7, 1), "unknown key \"diameter_mm\"", ""),
    (
        "@bin\ncollections = [\"mon 06:30\", \"monday 6:30\"]",
        (7, 29),
        "\"monday 6:30\" is no time of the week",
        "mon, tue",
    ),
    ("@bin\ncollections = []", (7, 15), "a plan without a collection", "remove collections"),
    ("@bin\ntag = \"e28g\"", (7, 7), "\"e28g\" is no tag", "hexadecimal"),
    ("@bin\nwaste = \"residuel\"", (7, 9), "unknown \"waste\" \"residuel\"", "residual"),
    ("@bin\nfire_at_c = 300", (7, 13), "out of range", "40 to 120"),
];

const UPLINKS: &[Case] = &[
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\nprofile = \"nativ\"",
        (4, 11),
        "unknown profile \"nativ\"",
        "did you mean \"native\"?",
    ),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://127.0.0.1:1883\"",
        (1, 1),
        "connected to already",
        "each broker once",
    ),
    ("[[uplink]]\nurl = \"mqtt://c\"", (1, 1), "\"name\" is missing", "\"city\""),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\ntopics = [\"bay/#/state\"]",
        (4, 11),
        "is no filter of topics",
        "bay/+/state",
    ),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\nlanes = []",
        (4, 9),
        "no lanes gets nothing",
        "remove the key",
    ),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\nprofile = \"case-record\"\ndistrict = \"3204\"",
        (5, 12),
        "no administrative division",
        "six digits",
    ),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\ndistrict = \"320411\"",
        (1, 1),
        "of no use where profile",
        "case-record",
    ),
    (
        "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\n[[uplink]]\nname = \"c\"\nurl = \"mqtt://d\"",
        (4, 1),
        "two uplinks are called c",
        "a name of its own",
    ),
    (
        "[buffer]\nmax_age = { tickets = \"1d\" }",
        (2, 13),
        "unknown key \"tickets\" in max_age of [buffer]",
        "\"ticket\"",
    ),
];
