//! JPEGs out of a stream of bytes: the output of a child process, or an HTTP answer that never ends.
//!
//! The markers of the format are followed, so that a thumbnail inside a picture is no picture of its own.
//! Whatever stands between pictures (the boundaries and headers of a multipart answer, noise) is passed
//! over and counted. A picture that grows beyond the limit is dropped and counted.

/// Splits a stream.
#[derive(Debug)]
pub struct Splitter {
    most: usize,
    held: Vec<u8>,
    /// Bytes of `held` that were looked at.
    at: usize,
    place: Place,
    passed_over: u64,
    too_long: u64,
}

/// Where in a JPEG the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between pictures.
    Outside,
    /// At a marker.
    Marker,
    /// In coded data: until a marker that is neither stuffing nor a restart.
    Data,
}

/// What the next step needs or gives.
enum Step {
    Go,
    More,
    Picture(usize),
    /// It is no JPEG after all.
    Broken,
}

impl Splitter {
    /// For pictures of at most so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Splitter {
        let place = Place::Outside;
        Splitter { most, held: Vec::new(), at: 0, place, passed_over: 0, too_long: 0 }
    }

    /// Bytes between pictures so far.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Pictures that were dropped because they were too long.
    #[must_use]
    pub const fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Whether a picture has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.place != Place::Outside
    }

    /// Takes bytes; answers the pictures that are complete with them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut pictures = Vec::new();
        // In pieces, so that what is held never grows beyond a picture and a piece.
        for piece in bytes.chunks(64 * 1024) {
            self.held.extend_from_slice(piece);
            loop {
                match self.step() {
                    Step::Go => {}
                    Step::More => break,
                    Step::Picture(end) => {
                        pictures.push(self.held.drain(..end).collect());
                        self.begin_again();
                    }
                    Step::Broken => self.pass_over(2),
                }
            }
            if self.held.len() > self.most {
                self.too_long += 1;
                self.pass_over(self.held.len());
            }
        }
        pictures
    }

    fn begin_again(&mut self) {
        (self.at, self.place) = (0, Place::Outside);
    }

    fn pass_over(&mut self, count: usize) {
        let count = count.min(self.held.len());
        self.held.drain(..count);
        self.passed_over += count as u64;
        self.begin_again();
    }

    fn step(&mut self) -> Step {
        match self.place {
            Place::Outside => {
                let Some(start) = find(&self.held, |next| next == 0xd8) else {
                    // The last byte may be the first half of a beginning.
                    let keep = usize::from(self.held.last() == Some(&0xff));
                    self.pass_over(self.held.len() - keep);
                    return Step::More;
                };
                self.pass_over(start);
                (self.at, self.place) = (2, Place::Marker);
                Step::Go
            }
            Place::Marker => self.marker(),
            Place::Data => {
                let after = |next: u8| !matches!(next, 0x00 | 0xd0..=0xd7 | 0xff);
                match find(&self.held[self.at..], after) {
                    Some(ahead) => {
                        self.at += ahead;
                        self.place = Place::Marker;
                        Step::Go
                    }
                    None => {
                        self.at = self.held.len().saturating_sub(1).max(self.at);
                        Step::More
                    }
                }
            }
        }
    }

    fn marker(&mut self) -> Step {
        match self.held[self.at..] {
            [] | [0xff] => Step::More,
            [0xff, 0xff, ..] => {
                self.at += 1;
                Step::Go
            }
            [0xff, 0xd9, ..] => Step::Picture(self.at + 2),
            // Markers without a segment.
            [0xff, 0x01 | 0xd0..=0xd7, ..] => {
                self.at += 2;
                Step::Go
            }
            [0xff, kind, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 || kind == 0xd8 {
                    return Step::Broken;
                }
                if self.held.len() < self.at + 2 + length {
                    return Step::More;
                }
                self.at += 2 + length;
                // After the header of a scan comes its data.
                self.place = if kind == 0xda { Place::Data } else { Place::Marker };
                Step::Go
            }
            [0xff, ..] => Step::More,
            _ => Step::Broken,
        }
    }
}

/// Where `ff` stands before a byte that is wanted.
fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xff && wanted(pair[1]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::swatch;

    fn jpeg(class: usize) -> Vec<u8> {
        swatch::picture(64, 64, &[(1, 1, class)]).encode(80)
    }

    /// A picture with another one in its metadata.
    fn with_thumbnail() -> Vec<u8> {
        let (outer, inner) = (jpeg(0), jpeg(1));
        let length = u16::try_from(inner.len() + 2).unwrap();
        let segment = [vec![0xff, 0xe1], length.to_be_bytes().to_vec(), inner].concat();
        [&outer[..2], &segment, &outer[2..]].concat()
    }

    #[test]
    fn pictures_are_taken_whole_from_between_boundaries() {
        let head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 7\r\n\r\n".to_vec();
        let stream =
            [head.clone(), jpeg(0), head.clone(), with_thumbnail(), b"\r\n--frame--".to_vec()]
                .concat();
        let mut splitter = Splitter::new(100_000);
        assert_eq!(splitter.push(&stream), [jpeg(0), with_thumbnail()]);
        assert!(!splitter.is_inside());
    }

    #[test]
    fn what_is_too_long_is_dropped_and_the_next_one_taken() {
        let mut splitter = Splitter::new(2000);
        let whole = jpeg(0);
        let endless = [&whole[..whole.len() - 2], &[7; 5000]].concat();
        assert!(splitter.push(&endless).is_empty());
        assert_eq!(splitter.too_long(), 1);
        assert_eq!(splitter.push(&jpeg(1)), [jpeg(1)]);
    }

    #[test]
    fn a_cut_picture_costs_no_more_than_itself_and_the_next() {
        let mut splitter = Splitter::new(100_000);
        let stream = [&jpeg(0)[..500], &jpeg(1)[..], &jpeg(2)[..], &jpeg(0)[..]].concat();
        let pictures = splitter.push(&stream);
        assert_eq!(pictures.last(), Some(&jpeg(0)));
        assert!(pictures.contains(&jpeg(2)));
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_changes_nothing(cuts in prop::collection::vec(1..900_usize, 1..40)) {
            let stream = [b"noise\xff".to_vec(), jpeg(0), with_thumbnail(), vec![0xff; 5], jpeg(2)].concat();
            let mut splitter = Splitter::new(100_000);
            let (mut pictures, mut rest) = (vec![], stream.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, other) = rest.split_at((*cut).min(rest.len()));
                pictures.extend(splitter.push(piece));
                rest = other;
            }
            prop_assert_eq!(pictures, [jpeg(0), with_thumbnail(), jpeg(2)]);
        }

        #[test]
        fn noise_is_passed_over_and_never_held(noise in prop::collection::vec(any::<u8>(), 0..9000)) {
            let mut splitter = Splitter::new(4096);
            let found: usize = splitter.push(&noise).iter().map(Vec::len).sum();
            prop_assert!(splitter.held.len() <= 4096);
            let kept = splitter.held.len() + found;
            prop_assert_eq!(splitter.passed_over() as usize + kept, noise.len());
        }
    }
}
