// SPDX-License-Identifier: Apache-2.0
//! The SECDED code against its definition: every single wrong bit, every pair.

use tandem_model::numerics::secded::{Decoded, decode, encode};
use tandem_model::reference::secded::{self, BITS, Nearest, Word, columns, nearest, parts, word};

const DATA: [u64; 8] = [
    0,
    u64::MAX,
    1,
    1 << 63,
    0x0123_4567_89ab_cdef,
    0xaaaa_aaaa_5555_5555,
    0xdead_beef,
    0xff00_00ff_0f0f_3c3c,
];

fn with(mut word: Word, bits: &[usize]) -> Word {
    for &bit in bits {
        let inverted = !word[bit];
        word.set(bit, inverted);
    }
    word
}

/// What the definition says of a word.
fn defined(word: &Word) -> Decoded {
    let (data, _) = parts(*word);
    match nearest(word) {
        Nearest::Same => Decoded { data, corrected: false, uncorrectable: false },
        Nearest::OneBit(bit) => {
            Decoded { data: parts(with(*word, &[bit])).0, corrected: true, uncorrectable: false }
        }
        Nearest::Far => Decoded { data, corrected: false, uncorrectable: true },
    }
}

fn decoded(word: Word) -> Decoded {
    let (data, check) = parts(word);
    decode(data, check)
}

#[test]
fn matrix_has_odd_distinct_columns_and_equal_rows() {
    let columns = columns();
    assert_eq!(columns.len(), BITS);
    assert!(columns.iter().all(|column| column.count_ones() % 2 == 1));
    assert!((1..BITS).all(|i| !columns[..i].contains(&columns[i])));
    // Every check bit looks at as many data bits: the same depth of exclusive ors.
    let ones = |row: u32| columns[..64].iter().filter(|&column| column >> row & 1 == 1).count();
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(ones), [26; 8]);
}

#[test]
fn check_bits_are_those_of_the_definition() {
    for data in DATA.into_iter().chain((0..64).map(|bit| 1 << bit)) {
        assert_eq!(encode(data), secded::encode(data), "{data:#x}");
    }
}

#[test]
fn every_single_flip_is_corrected() {
    for data in DATA {
        let sound = word(data, encode(data));
        assert_eq!(decoded(sound), Decoded { data, corrected: false, uncorrectable: false });
        for bit in 0..BITS {
            let flipped = with(sound, &[bit]);
            assert_eq!(decoded(flipped), Decoded { data, corrected: true, uncorrectable: false });
            assert_eq!(decoded(flipped), defined(&flipped), "bit {bit}");
        }
    }
}

#[test]
fn every_pair_of_flips_is_detected() {
    let mut pairs = 0;
    for data in DATA {
        for a in 0..BITS {
            for b in 0..a {
                let flipped = with(word(data, encode(data)), &[a, b]);
                let (raw, _) = parts(flipped);
                assert_eq!(decoded(flipped), Decoded { data: raw, corrected: false, uncorrectable: true });
                assert_eq!(decoded(flipped), defined(&flipped), "bits {a} and {b}");
                pairs += 1;
            }
        }
    }
    assert_eq!(pairs, DATA.len() * BITS * (BITS - 1) / 2);
}

/// Three wrong bits look like one or like two: whatever they look like, code and definition agree.
#[test]
fn triples_are_taken_for_what_they_look_like() {
    let sound = word(DATA[4], encode(DATA[4]));
    for a in 0..BITS {
        for b in 0..a {
            let flipped = with(sound, &[a, b, (a + 2 * b + 7) % BITS]);
            assert_eq!(decoded(flipped), defined(&flipped));
        }
    }
}
