//! Cameras with a network that sees coloured cells.

use super::*;
use crate::manifest::Manifest;
use crate::swatch;

const SECOND: Millis = 1000;
const RED: usize = 0;
const GREEN: usize = 1;
const BLUE: usize = 2;

fn models(classes: [&str; 3]) -> Models {
    let dir = tempfile::tempdir().unwrap();
    let onnx = swatch::onnx(1.0);
    let path = dir.path().join("m.toml");
    std::fs::write(&path, swatch::manifest("m.onnx", &onnx, classes)).unwrap();
    vec![Model::with(Manifest::read(&path).unwrap(), onnx).unwrap()]
}

/// The cell in the second column and third row.
fn cell() -> Polygon {
    Polygon::new(vec![(0.2, 0.45), (0.55, 0.45), (0.55, 0.8), (0.2, 0.8)]).unwrap()
}

fn settings(task: Task) -> Settings {
    Settings {
        zones: vec![Zone { polygon: cell(), model: 0, task }],
        faces: None,
        limits: Limits::default(),
        gate: Thresholds { moved_permille: 5, keepalive: 30 * SECOND, frozen_after: None },
        fault_after: 60 * SECOND,
    }
}

fn problem() -> Task {
    Task::Problem(Terms {
        classes: vec![(RED, 0.6)],
        touch: Touch::Centre,
        hits: (2, 3),
        dwell: 20 * SECOND,
        still: Some(0.7),
        clear_after: 10 * SECOND,
        rest: 0,
    })
}

fn street(cells: &[(u32, u32, usize)]) -> Vec<u8> {
    let mut picture = swatch::picture(320, 180, cells);
    for y in 0..20 {
        picture.row_mut(y).fill(200);
    }
    picture.encode(90)
}

#[test]
fn a_zone_tells_what_stands_in_it_with_every_look() {
    let mut models = models(swatch::CLASSES);
    let task = Task::Occupancy(vec![(RED, 0.5), (BLUE, 0.5)]);
    let mut scene = Scene::new(settings(task), &models);
    let mut seen = |cells: &[(u32, u32, usize)], s: u64| {
        let (outcome, news) = scene.take(&street(cells), &mut models, s * SECOND);
        let seen = news.iter().find_map(|news| match news {
            News::Occupancy { zone: 0, seen } => Some(seen.map(|(class, _)| class)),
            _ => None,
        });
        (outcome, seen)
    };
    assert_eq!(seen(&[], 0), (Outcome::Looked, Some(None)));
    assert_eq!(seen(&[], 2), (Outcome::Still, None), "nothing moved");
    assert_eq!(seen(&[(1, 2, RED)], 4), (Outcome::Looked, Some(Some(RED))));
    assert_eq!(
        seen(&[(1, 2, GREEN)], 6),
        (Outcome::Looked, Some(None)),
        "that class is not asked for"
    );
    assert_eq!(seen(&[(2, 2, RED)], 8), (Outcome::Looked, Some(None)), "beside the zone");
    assert_eq!(seen(&[(1, 2, BLUE)], 10), (Outcome::Looked, Some(Some(BLUE))));
}

#[test]
fn a_problem_begins_once_with_a_picture_in_which_nobody_can_be_known_and_is_over_once() {
    let mut models = models(swatch::CLASSES);
    let mut scene = Scene::new(settings(problem()), &models);
    let (mut begun, mut over) = (vec![], vec![]);
    for n in 0..200 {
        let cells = if (20..80).contains(&n) { &[(1, 2, RED), (3, 1, BLUE)][..] } else { &[] };
        let (_, news) = scene.take(&street(cells), &mut models, n * SECOND);
        for one in news {
            match one {
                News::Begins { zone: 0, seen, picture } => begun.push((n, seen, picture)),
                News::Over { zone: 0 } => over.push(n),
                News::Works => assert_eq!(n, 0),
                other => panic!("{other:?}"),
            }
        }
    }
    let [(second, seen, Some(jpeg))] = begun.as_slice() else { panic!("{begun:?}") };
    assert!((40..=60).contains(second) && seen.class == RED, "{second} {seen:?}");
    let [over] = over[..] else { panic!("{over:?}") };
    assert!((90..=120).contains(&over), "{over}");
    let shown = Picture::decode(jpeg, &Limits::default()).unwrap();
    assert_eq!((shown.width(), shown.height()), (320, 180));
}

#[test]
fn without_somebody_who_knows_people_no_picture_leaves() {
    let mut models = models(["car", "overflow", "litter"]);
    let mut scene = Scene::new(settings(problem()), &models);
    let mut pictures = vec![];
    for n in 0..60 {
        let (_, news) = scene.take(&street(&[(1, 2, RED)]), &mut models, n * SECOND);
        pictures.extend(news.into_iter().filter_map(|news| match news {
            News::Begins { picture, .. } => Some(picture),
            _ => None,
        }));
    }
    assert_eq!(pictures, [None]);
}

#[test]
fn a_blind_camera_raises_and_clears_nothing_and_is_told_after_a_while() {
    let mut models = models(swatch::CLASSES);
    let mut scene = Scene::new(settings(problem()), &models);
    let mut told = vec![];
    let covered = Picture::plain(320, 180, [60, 60, 60]).encode(90);
    for n in 0..400 {
        let jpeg = if (60..200).contains(&n) { covered.clone() } else { street(&[(1, 2, RED)]) };
        let (outcome, news) = scene.take(&jpeg, &mut models, n * SECOND);
        assert_eq!(matches!(outcome, Outcome::Blind(_)), (60..200).contains(&n), "{n} {outcome:?}");
        let words = news.into_iter().map(|news| match news {
            News::Begins { .. } => "begins",
            News::Over { .. } => "over",
            News::Fault(Blind::Plain) => "fault",
            News::Works => "works",
            other => panic!("{other:?}"),
        });
        told.extend(words.map(|word| (n, word)));
    }
    let words: Vec<_> = told.iter().map(|(_, word)| *word).collect();
    assert_eq!(words, ["works", "begins", "fault", "works"], "{told:?}");
    assert_eq!((told[2].0, told[3].0), (120, 200));
}

/// A frame a second; what began and what was over, with the second.
fn film(
    scene: &mut Scene,
    models: &mut Models,
    street: impl Fn(u64) -> Vec<u8>,
    to: u64,
) -> Vec<(u64, bool)> {
    let mut changes = vec![];
    for n in 0..to {
        for one in scene.take(&street(n), models, n * SECOND).1 {
            match one {
                News::Begins { .. } => changes.push((n, true)),
                News::Over { .. } => changes.push((n, false)),
                News::Works => {}
                other => panic!("{n}: {other:?}"),
            }
        }
    }
    changes
}

/// Looks at every frame, whether or not something moved.
fn watchful() -> Settings {
    let mut settings = settings(problem());
    settings.gate.moved_permille = 0;
    settings
}

/// A zone as wide as the picture, for what drives through it.
fn lane() -> Settings {
    let polygon = Polygon::new(vec![(0.0, 0.45), (1.0, 0.45), (1.0, 0.8), (0.0, 0.8)]).unwrap();
    let mut settings = watchful();
    settings.zones[0].polygon = polygon;
    settings
}

#[test]
fn a_car_that_stops_for_less_than_the_dwell_is_nothing_and_one_that_stays_is_one_finding() {
    let mut models = models(swatch::CLASSES);
    // It comes in at the left, stops in the third column for so long, and drives on.
    let stops = |stay: u64| {
        move |n: u64| match n {
            n if n < 30 => street(&[]),
            30 => street(&[(0, 2, RED)]),
            31 => street(&[(1, 2, RED)]),
            n if n < 32 + stay => street(&[(2, 2, RED)]),
            n if n < 33 + stay => street(&[(3, 2, RED)]),
            _ => street(&[]),
        }
    };
    let short = film(&mut Scene::new(lane(), &models), &mut models, stops(18), 120);
    assert_eq!(short, [(10, false)], "18 of 20 seconds");
    let long = film(&mut Scene::new(lane(), &models), &mut models, stops(45), 180);
    let [(10, false), (begun, true), (over, false)] = long[..] else { panic!("{long:?}") };
    assert!((52..=64).contains(&begun) && over > 32 + 45, "{long:?}");
}

#[test]
fn cars_that_pass_are_never_found_however_many_they_are() {
    let mut models = models(swatch::CLASSES);
    let passing = |n: u64| street(&[((n % 4) as u32, 2, RED)]);
    let changes = film(&mut Scene::new(lane(), &models), &mut models, passing, 600);
    assert_eq!(changes, []);
}

#[test]
fn a_detection_that_flickers_is_found_when_enough_of_it_is_left() {
    let mut models = models(swatch::CLASSES);
    let gone = |every: u64| {
        move |n: u64| if n.is_multiple_of(every) { street(&[]) } else { street(&[(1, 2, RED)]) }
    };
    let often = film(&mut Scene::new(watchful(), &models), &mut models, gone(4), 90);
    assert!(matches!(often[..], [(20..=30, true)]), "three of four: {often:?}");
    let rarely = |n: u64| if n.is_multiple_of(2) { street(&[]) } else { street(&[(1, 2, RED)]) };
    let mut strict = watchful();
    if let Task::Problem(terms) = &mut strict.zones[0].task {
        terms.hits = (3, 4);
    }
    let changes = film(&mut Scene::new(strict, &models), &mut models, rarely, 90);
    assert_eq!(changes, [], "one of two, and three of four are asked for");
}

#[test]
fn a_dark_night_is_no_fault_and_clears_nothing_and_endless_darkness_is_one() {
    const MINUTE: Millis = 60 * SECOND;
    let mut models = models(swatch::CLASSES);
    let mut scene = Scene::new(settings(problem()), &models);
    let (dark, day) = (Picture::plain(320, 180, [3; 3]).encode(90), street(&[(1, 2, RED)]));
    let mut told = vec![];
    let mut now = 0;
    // A minute of day in which the problem begins, a night of eleven hours, and the morning.
    for n in 0..60 + 11 * 60 + 60 {
        let night = (60..60 + 11 * 60).contains(&n);
        now += if night { MINUTE } else { SECOND };
        let (outcome, news) = scene.take(if night { &dark } else { &day }, &mut models, now);
        assert_eq!(matches!(outcome, Outcome::Blind(Blind::Dark)), night, "{n} {outcome:?}");
        told.extend(news);
    }
    assert!(matches!(told[..], [News::Works, News::Begins { .. }]), "{told:?}");
    let begun = now;
    while now < begun + 19 * 60 * MINUTE {
        now += MINUTE;
        told.extend(scene.take(&dark, &mut models, now).1);
    }
    assert_eq!(told[2..], [News::Fault(Blind::Dark)]);
}

#[test]
fn a_frozen_picture_is_a_fault_and_not_all_clear() {
    let mut models = models(swatch::CLASSES);
    let mut frozen = watchful();
    frozen.gate.frozen_after = Some(30 * SECOND);
    let mut scene = Scene::new(frozen, &models);
    let (full, empty) = (street(&[(1, 2, RED)]), street(&[]));
    // A camera's clock is in its pictures: no two have the same bytes.
    let stamped = |jpeg: &[u8], n: u8| [&jpeg[..2], &[0xff, 0xfe, 0, 3, n], &jpeg[2..]].concat();
    let mut told = vec![];
    for n in 0..200_u64 {
        // After a minute it hangs, on a picture in which nothing is wrong any more.
        let jpeg = if n < 60 { stamped(&full, n as u8) } else { empty.clone() };
        for news in scene.take(&jpeg, &mut models, n * SECOND).1 {
            told.push((n, news));
        }
    }
    let [
        (0, News::Works),
        (_, News::Begins { .. }),
        (over, News::Over { .. }),
        (fault, News::Fault(Blind::Frozen)),
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    // Ten seconds of an empty zone were believed before it could be known that it hangs.
    assert!((70..90).contains(over) && (150..160).contains(fault), "{over} {fault}");
}

#[test]
fn frames_that_are_no_pictures_change_nothing() {
    let mut models = models(swatch::CLASSES);
    let mut scene = Scene::new(settings(problem()), &models);
    for (n, bad) in [&b""[..], b"GIF89a", &street(&[])[..200]].into_iter().enumerate() {
        let (outcome, news) = scene.take(bad, &mut models, n as u64 * SECOND);
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert_eq!(news, []);
    }
}

#[test]
fn a_classifier_is_shown_the_part_around_its_zone() {
    struct Brightness;
    impl Network for Brightness {
        fn load(_: Vec<u8>) -> Result<Self, crate::network::NetworkError> {
            Ok(Brightness)
        }
        fn input_size(&self) -> (Option<usize>, Option<usize>) {
            (None, None)
        }
        fn run(
            &mut self,
            input: Vec<f32>,
            _: usize,
            _: usize,
        ) -> Result<Vec<crate::network::Tensor>, crate::network::NetworkError> {
            let mean = input.iter().sum::<f32>() / input.len() as f32;
            Ok(vec![crate::network::Tensor {
                shape: vec![1, 3],
                data: vec![1.0 - mean, mean, 0.0],
            }])
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let text = swatch::manifest("m.onnx", b"", ["dark", "bright", "x"])
        .replace("fastestdet", "classifier");
    std::fs::write(dir.path().join("m.toml"), text).unwrap();
    let manifest = Manifest::read(&dir.path().join("m.toml")).unwrap();
    let mut models: Vec<Model<Brightness>> = vec![Model::with(manifest, vec![]).unwrap()];
    let mut settings = settings(Task::Occupancy(vec![(1, 0.6)]));
    settings.zones[0].polygon =
        Polygon::new(vec![(0.25, 0.5), (0.5, 0.5), (0.5, 0.75), (0.25, 0.75)]).unwrap();
    let mut scene = Scene::new(settings, &models);
    let mut picture = Picture::plain(320, 180, [10, 10, 10]);
    for y in 90..135 {
        picture.row_mut(y)[80 * 3..160 * 3].fill(250);
    }
    let (_, news) = scene.take(&picture.encode(95), &mut models, 0);
    let Some(News::Occupancy { seen: Some((1, score)), .. }) = news.get(1) else {
        panic!("{news:?}")
    };
    assert!(*score > 0.9, "{score}");
}
