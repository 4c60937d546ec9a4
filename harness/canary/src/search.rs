//! Canaries looked for in all their forms.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use memchr::memmem;

use crate::forms::{base64, hex, squeezed};
use crate::unpack::layers;
use crate::{Error, Form, Layer, Result, WINDOW};

/// So many other bytes may be between two pieces of a canary.
pub const GAP: usize = 256;
/// The longer of two pieces has at least so many bytes.
const PIECE: usize = WINDOW / 2;
/// The longest step in which one byte after the other is looked for.
const STEP: usize = 8;
/// So many layers are taken off.
const DEPTH: usize = 3;
/// The shortest canary.
const SHORTEST: usize = 16;

/// A piece of a canary that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How it is written.
    pub form: Form,
    /// What it was inside of, from the outermost layer on.
    pub inside: Vec<Layer>,
    /// Where, in the innermost of them; of a spread or delimited one where it would be without what is between.
    pub at: usize,
}

/// Canaries, ready to be looked for.
#[derive(Debug)]
pub struct Searcher {
    canaries: Vec<Vec<u8>>,
    /// As they are and in hexadecimal, in letters of any size; which form each needle is of.
    loose: (AhoCorasick, Vec<Form>),
    plain: AhoCorasick,
    base64: AhoCorasick,
    /// Letters and digits of all of them.
    squeezed: AhoCorasick,
    /// Pieces, and where in which canary each stands.
    pieces: (AhoCorasick, Vec<Vec<(usize, usize)>>),
}

/// Some megabytes of table, and a step of it for each byte that is searched.
fn automaton<T: AsRef<[u8]>>(needles: impl IntoIterator<Item = T>, any_case: bool) -> Result<AhoCorasick> {
    let mut builder = AhoCorasick::builder();
    Ok(builder.kind(Some(AhoCorasickKind::DFA)).ascii_case_insensitive(any_case).build(needles)?)
}

impl Searcher {
    /// A search for every eight bytes in a row of these.
    pub fn new<T: AsRef<[u8]>>(canaries: impl IntoIterator<Item = T>) -> Result<Self> {
        let canaries: Vec<Vec<u8>> = canaries.into_iter().map(|canary| canary.as_ref().to_vec()).collect();
        if let Some(short) = canaries.iter().find(|canary| canary.len() < SHORTEST) {
            let text = String::from_utf8_lossy(short).into_owned();
            return Err(Error::Short { text, length: short.len() });
        }
        let windows: Vec<&[u8]> = canaries.iter().flat_map(|canary| canary.windows(WINDOW)).collect();
        let digits: Vec<String> = windows.iter().flat_map(|window| hex(window)).collect();
        let base64: Vec<String> = windows.iter().flat_map(|window| base64(window)).collect();
        let forms = windows.iter().map(|_| Form::Plain).chain(digits.iter().map(|_| Form::Hex)).collect();
        let loose = windows.iter().copied().chain(digits.iter().map(String::as_bytes));
        // Of each form what is left of it without delimiters, as long as that is not short enough for chance.
        let written = windows.iter().flat_map(|window| hex(window)).chain(base64.iter().cloned());
        let of_canaries = canaries
            .iter()
            .flat_map(|canary| squeezed(canary).windows(WINDOW).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let bare = written.map(|text| squeezed(text.as_bytes())).filter(|text| text.len() >= WINDOW);
        let mut places: BTreeMap<&[u8], Vec<(usize, usize)>> = BTreeMap::new();
        for (number, canary) in canaries.iter().enumerate() {
            for (at, piece) in canary.windows(PIECE).enumerate() {
                places.entry(piece).or_default().push((number, at));
            }
        }
        Ok(Self {
            loose: (automaton(loose, true)?, forms),
            plain: automaton(&windows, false)?,
            base64: automaton(&base64, false)?,
            squeezed: automaton(of_canaries.chain(bare), false)?,
            pieces: (automaton(places.keys(), false)?, places.into_values().collect()),
            canaries,
        })
    }

    /// The first that is found, in whatever form.
    pub fn search(&self, bytes: &[u8]) -> Option<Found> {
        self.look(bytes, &mut Vec::new())
    }

    fn look(&self, bytes: &[u8], inside: &mut Vec<Layer>) -> Option<Found> {
        if let Some((form, at)) = self.surface(bytes) {
            return Some(Found { form, inside: inside.clone(), at });
        }
        if inside.len() == DEPTH {
            return None;
        }
        layers(bytes).into_iter().find_map(|(layer, within)| {
            inside.push(layer);
            let found = self.look(&within, inside);
            inside.pop();
            found
        })
    }

    /// What can be seen without opening anything.
    fn surface(&self, bytes: &[u8]) -> Option<(Form, usize)> {
        let (loose, forms) = &self.loose;
        if let Some(found) = loose.find(bytes) {
            return Some((forms[found.pattern().as_usize()], found.start()));
        }
        if let Some(found) = self.base64.find(bytes) {
            return Some((Form::Base64, found.start()));
        }
        if let Some(found) = self.squeezed.find(&squeezed(bytes)) {
            return Some((Form::Delimited, found.start()));
        }
        self.spread(bytes).or_else(|| self.in_pieces(bytes).map(|at| (Form::Pieces, at)))
    }

    fn spread(&self, bytes: &[u8]) -> Option<(Form, usize)> {
        (2..=STEP).flat_map(|step| (0..step).map(move |from| (step, from))).find_map(|(step, from)| {
            let taken: Vec<u8> = bytes.iter().skip(from).step_by(step).copied().collect();
            self.plain.find(&taken).map(|found| (Form::Spread(step), from + found.start() * step))
        })
    }

    /// A run of four to seven bytes of a canary, and the rest of eight shortly before or after it.
    fn in_pieces(&self, bytes: &[u8]) -> Option<usize> {
        let (search, places) = &self.pieces;
        for found in search.find_overlapping_iter(bytes) {
            for &(canary, place) in &places[found.pattern().as_usize()] {
                let canary = &self.canaries[canary];
                let (start, mut end, mut upto) = (found.start(), found.end(), place + PIECE);
                // A run is looked at once, from its beginning.
                if start > 0 && place > 0 && bytes[start - 1] == canary[place - 1] {
                    continue;
                }
                while end < bytes.len() && upto < canary.len() && bytes[end] == canary[upto] {
                    (end, upto) = (end + 1, upto + 1);
                }
                let left = WINDOW.saturating_sub(end - start);
                let after = canary.get(upto..upto + left);
                let before = place.checked_sub(left).map(|from| &canary[from..place]);
                let follows = &bytes[end..bytes.len().min(end + GAP + left)];
                let leads = &bytes[start.saturating_sub(GAP + left)..start];
                let is_in =
                    |rest: Option<&[u8]>, hay| rest.is_some_and(|rest| memmem::find(hay, rest).is_some());
                if is_in(after, follows) || is_in(before, leads) {
                    return Some(start);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    const CANARY: &str = "k7w2 zq9x+4mvb8\u{fc}tj3hfy6pd";

    fn searcher() -> Searcher {
        Searcher::new([CANARY]).unwrap()
    }

    /// Bytes that mean nothing, the same each time.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        std::iter::repeat_with(step).take(length).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn escaped(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
    }

    #[test]
    fn each_eight_bytes_are_found_in_each_form_wherever_they_begin() {
        let searcher = searcher();
        for window in CANARY.as_bytes().windows(WINDOW) {
            let (first, last) = window.split_at(3);
            let wide: Vec<u8> = window.iter().flat_map(|byte| [*byte, 0]).collect();
            let fields = window.iter().map(std::slice::from_ref).collect::<Vec<_>>().join(&b"\",\""[..]);
            let forms: Vec<(&str, Vec<u8>)> = vec![
                ("plain", window.to_vec()),
                ("large", window.to_ascii_uppercase()),
                ("hex", hex::encode(window).into_bytes()),
                ("large hex", hex::encode_upper(window).into_bytes()),
                ("pairs", crate::forms::hex(window).nth(1).unwrap().to_uppercase().into_bytes()),
                ("percent", escaped(window).into_bytes()),
                ("base64", STANDARD.encode([b"a", window, b"xyz"].concat()).into_bytes()),
                ("base64 for names", URL_SAFE_NO_PAD.encode([b"ab", window].concat()).into_bytes()),
                ("two bytes a letter", wide),
                ("fields", fields),
                ("two pieces", [first, b" and then, after a while, ", last].concat()),
                ("two pieces, far apart", [first, &noise(GAP - 6)[..], last].concat()),
                ("one and seven", [&window[..1], b"\0\0\x07somebody\x03", &window[1..]].concat()),
                ("seven and one", [&window[..7], &[0xff; 30], &window[7..]].concat()),
            ];
            for (form, bytes) in forms {
                for hay in [bytes.clone(), [&noise(501)[..], &bytes, &noise(77)].concat()] {
                    assert!(
                        searcher.search(&hay).is_some(),
                        "{form} of {:?}",
                        String::from_utf8_lossy(window)
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_packed_is_opened_also_when_it_is_broken_off_and_when_it_is_wrapped_again() {
        let searcher = searcher();
        // So much of it that packing it is worth it: else it would lie there as it is.
        let text = "a line before; ".repeat(40) + CANARY + "; and one after";
        let packed = gzip(text.as_bytes());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text.as_bytes()).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(text.as_bytes()).unwrap();
        let deflate = deflate.finish().unwrap();
        let cut = &packed[..packed.len() - 20];
        let rows: Vec<(Vec<u8>, Vec<Layer>)> = vec![
            (packed.clone(), vec![Layer::Gzip]),
            (cut.to_vec(), vec![Layer::Gzip]),
            (zlib, vec![Layer::Zlib]),
            (deflate, vec![Layer::Deflate]),
            (format!("/path/{}", STANDARD.encode(&packed)).into_bytes(), vec![Layer::Base64, Layer::Gzip]),
            (hex::encode(&packed).into_bytes(), vec![Layer::Hex, Layer::Gzip]),
            (escaped(&packed).into_bytes(), vec![Layer::Escapes, Layer::Gzip]),
            (gzip(STANDARD.encode(STANDARD.encode(&text)).as_bytes()), vec![Layer::Gzip, Layer::Base64]),
        ];
        for (bytes, layers) in rows {
            let found = searcher.search(&bytes).unwrap_or_else(|| panic!("{layers:?}"));
            assert_eq!(found.inside, layers, "{found:?}");
            if !layers.starts_with(&[Layer::Deflate]) {
                let amid = [&noise(333)[..], &bytes, b" ", &noise(20)].concat();
                assert!(searcher.search(&amid).is_some(), "{layers:?} amid other bytes");
            }
        }
        let mixed = CANARY.replace('z', "%7A").replace('x', "\\u0078").replace('4', "\\x34");
        assert_eq!(searcher.search(mixed.as_bytes()).unwrap().inside, []);
        let short = "k%37w2 z%719x";
        assert_eq!(searcher.search(short.as_bytes()).unwrap().inside, [Layer::Escapes]);
    }

    #[test]
    fn records_that_carry_a_piece_each_are_found_when_they_are_put_behind_each_other() {
        let names: Vec<String> =
            CANARY.as_bytes().chunks(3).map(|piece| format!("{}.example", hex::encode(piece))).collect();
        assert_eq!(searcher().search(names[0].as_bytes()), None);
        let bare = names.iter().map(|name| name.strip_suffix(".example").unwrap());
        assert_eq!(searcher().search(&crate::joined(bare)).unwrap().form, Form::Hex);
    }

    #[test]
    fn seven_bytes_are_no_finding_nor_are_pieces_in_the_wrong_order_or_too_far_apart() {
        let searcher = searcher();
        let canary = CANARY.as_bytes();
        let far = [&canary[..4], &vec![b'.'; GAP + 1], &canary[4..8]].concat();
        let turned = [&canary[4..8], b"....", &canary[..4]].concat();
        let seven = canary[..7].to_vec();
        for hay in [
            seven,
            turned,
            far,
            b"k7w2".to_vec(),
            Vec::new(),
            noise(300_000),
            noise(300_000).to_ascii_lowercase(),
        ] {
            assert_eq!(searcher.search(&hay), None, "{} bytes", hay.len());
        }
        let text = hex::encode(noise(100_000)) + &STANDARD.encode(noise(200_000));
        assert_eq!(searcher.search(text.as_bytes()), None);
    }

    #[test]
    fn a_canary_that_chance_could_make_is_refused() {
        assert!(matches!(Searcher::new(["short"]), Err(Error::Short { length: 5, .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_searched_without_a_panic_and_with_a_canary_in_them_in_vain_never(
            before: Vec<u8>, after: Vec<u8>, from in 0..18usize
        ) {
            let searcher = searcher();
            searcher.search(&before);
            let hay = [&before[..], &CANARY.as_bytes()[from..from + WINDOW], &after].concat();
            proptest::prop_assert!(searcher.search(&hay).is_some());
        }
    }
}
