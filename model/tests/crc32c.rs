// SPDX-License-Identifier: Apache-2.0
//! CRC-32C: published values, the model's tables against the long division, and what the code finds at a flit's length.

use std::collections::HashMap;

use tandem_model::block::Wide;
use tandem_model::link::crc32c_zeros::Crc32cZeros;
use tandem_model::numerics::crc32c::update;
use tandem_model::reference::crc32c::{crc, syndrome};

/// Payload and header.
const MESSAGE_BITS: usize = 2080;
/// With the CRC.
const BITS: usize = MESSAGE_BITS + 32;
/// The header's first bit.
const HEADER: usize = 2048;
/// Bits of an epoch.
const EPOCH_BITS: usize = 8;

fn tables(message: &[u8]) -> u32 {
    !update(u32::MAX, message)
}

#[test]
fn published_values_come_out() {
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    let mut read = [0; 48];
    for (at, byte) in
        [(0, 0x01), (1, 0xc0), (16, 0x14), (22, 0x04), (27, 0x14), (31, 0x18), (32, 0x28), (40, 2)]
    {
        read[at] = byte;
    }
    // The check value of the catalogues, then RFC 3720, B.4.
    let published: [(&[u8], u32); 6] = [
        (b"123456789", 0xE306_9283),
        (&[0; 32], 0x8A91_36AA),
        (&[0xFF; 32], 0x62A8_AB43),
        (&ascending, 0x46DD_794E),
        (&descending, 0x113F_DB5C),
        (&read, 0xD996_3A56),
    ];
    for (message, value) in published {
        assert_eq!((crc(message), tables(message)), (value, value), "{message:x?}");
    }
}

#[test]
fn tables_give_what_the_long_division_gives() {
    let mut message = Vec::new();
    let mut byte = 1u8;
    for _ in 0..300 {
        assert_eq!(tables(&message), crc(&message), "{} bytes", message.len());
        byte = byte.wrapping_mul(157).wrapping_add(71);
        message.push(byte);
    }
}

/// A word or more of zeros in one step, against the bytes one by one and against the long division.
#[test]
fn zeros_in_one_step_are_zeros_one_by_one() {
    let zeros = [0; 256];
    for words in 1..=4 {
        let count = 64 * words;
        let step = Crc32cZeros::new(count);
        let mut state = 1;
        for _ in 0..1000 {
            assert_eq!(step.after(Wide(u64::from(state))), Wide(u64::from(update(state, &zeros[..count]))));
            state = state.wrapping_mul(0x9E37_79B1).wrapping_add(0x7F4A_7C15);
        }
        // Four bytes in front make the state what it is.
        let message = [&[9, 8, 7, 6], &zeros[..count]].concat();
        let before = update(u32::MAX, &message[..4]);
        assert_eq!(!step.after(Wide(u64::from(before))).0 & 0xFFFF_FFFF, u64::from(crc(&message)));
    }
}

/// What each wrong bit leaves: first bit of the payload first, last bit of the CRC last.
fn syndromes() -> Vec<u32> {
    (0..BITS).map(|at| syndrome(BITS - 1 - at)).collect()
}

/// A syndrome is what the CRC changes by.
#[test]
fn syndromes_are_differences_of_crcs() {
    let sound = [0; MESSAGE_BITS / 8];
    for (at, &syndrome) in syndromes().iter().enumerate() {
        if at < MESSAGE_BITS {
            let mut wrong = sound;
            wrong[at / 8] ^= 1 << (at % 8);
            assert_eq!(tables(&wrong) ^ tables(&sound), syndrome, "bit {at}");
        } else {
            assert_eq!(syndrome, 1 << (at - MESSAGE_BITS));
        }
    }
}

/// Exclusive ors of two syndromes of a list, sorted.
fn pairs(of: &[u32]) -> Vec<u32> {
    let pairs = of.iter().enumerate().flat_map(|(at, a)| of[..at].iter().map(move |b| a ^ b));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

/// The table in docs/blocks/crc32c.md: the distance at a flit's length is 6.
#[test]
fn up_to_five_wrong_bits_are_found_and_six_may_not_be() {
    let singles = syndromes();
    let mut sorted = singles.clone();
    sorted.sort_unstable();
    // One and two: no syndrome is 0, no two are equal.
    assert!(sorted[0] != 0 && sorted.windows(2).all(|two| two[0] != two[1]));
    // Three: no two make a third.
    let pairs = pairs(&singles);
    assert_eq!(pairs.len(), 2_229_216);
    assert!(singles.iter().all(|one| pairs.binary_search(one).is_err()));
    // Four: no two pairs are equal.
    assert_eq!(pairs.windows(2).filter(|two| two[0] == two[1]).count(), 0);
    // Every odd number: all syndromes have an odd number of ones.
    assert!(singles.iter().all(|one| one.count_ones() % 2 == 1));
    // Six: two triples that are equal.
    let last: Vec<_> = singles.iter().copied().step_by(13).collect();
    let mut triples = HashMap::new();
    let mut found = None;
    'search: for a in 0..last.len() {
        for b in 0..a {
            for c in 0..b {
                if let Some(other) = triples.insert(last[a] ^ last[b] ^ last[c], [a, b, c]) {
                    found = Some([[a, b, c], other].concat());
                    break 'search;
                }
            }
        }
    }
    let mut six = found.expect("six wrong bits that leave nothing");
    six.sort_unstable();
    six.dedup();
    assert_eq!((six.len(), six.iter().fold(0, |left, &at| left ^ last[at])), (6, 0));
}

/// Vectors of which no combination but the empty one is 0.
fn independent(vectors: &[u32]) -> bool {
    let mut basis: Vec<u32> = Vec::new();
    vectors.iter().all(|&vector| {
        let left = basis.iter().fold(vector, |left, &b| left.min(left ^ b));
        basis.push(left);
        left != 0
    })
}

/// In the order of the code, which is that of the wire.
#[test]
fn bursts_are_found() {
    let code = syndromes();
    assert!(code.windows(32).all(independent));
    assert!(!code.windows(33).all(independent), "a burst of 33 bits may be a codeword");
    // A burst over the kind may make an init flit, or an init flit no more: then any change of the epoch comes on top.
    let epoch = &code[..EPOCH_BITS];
    let of_kind = |length: usize| (HEADER + 1 - length..HEADER + 3).map(move |at| at..at + length);
    assert!(of_kind(21).all(|at| independent(&[&code[at], epoch].concat())));
    assert!(!of_kind(22).all(|at| independent(&[&code[at], epoch].concat())));
}

/// The epoch is added to the start state; that is as if it were added to byte 0 of the payload.
#[test]
fn epoch_counts_as_the_first_byte() {
    let mut message: Vec<u8> = (0..=255).chain([1, 2, 3, 4]).collect();
    for epoch in 0..=u8::MAX {
        let started = !update(!u32::from(epoch), &message);
        message[0] ^= epoch;
        assert_eq!(started, crc(&message), "epoch {epoch}");
        message[0] ^= epoch;
    }
}

/// What an epoch leaves that differs in the bits of `difference`.
fn epoch_syndrome(code: &[u32], difference: usize) -> u32 {
    (0..EPOCH_BITS).filter(|n| difference >> n & 1 == 1).fold(0, |left, n| left ^ code[n])
}

/// Undetected patterns of 0 to 3 wrong bits of `wire` beyond `bases`.
fn undetected(bases: &[u32], wire: &[u32]) -> [usize; 4] {
    let mut singles = wire.to_vec();
    singles.sort_unstable();
    let pairs = pairs(wire);
    let count = |list: &[u32], of: u32| {
        let from = list.partition_point(|&one| one < of);
        list[from..].iter().take_while(|&&one| one == of).count()
    };
    let mut found = [0; 4];
    for &base in bases {
        found[0] += usize::from(base == 0);
        found[1] += count(&singles, base);
        found[2] += count(&pairs, base);
        // Each triple is found three times, from each of its bits.
        found[3] += wire.iter().map(|one| count(&pairs, base ^ one)).sum::<usize>();
    }
    found[3] /= 3;
    found
}

/// A flit of another epoch is found. Wrong bits besides may hide that, if they are of byte 0 and make up for the epoch.
#[test]
fn other_epochs_are_found() {
    let code = syndromes();
    let stale: Vec<_> = (1..256).map(|difference| epoch_syndrome(&code, difference)).collect();
    // Of one and of two wrong bits, as many as byte 0 has; none elsewhere.
    assert_eq!(undetected(&stale, &code)[..3], [0, 8, 28]);
    assert_eq!(undetected(&stale, &code[EPOCH_BITS..])[..3], [0; 3]);
}

/// Wrong bits of its kind make a flit an init flit, or an init flit no more: then the epoch counts as 0, or no more as 0.
#[test]
fn wrong_kinds_are_found() {
    let code = syndromes();
    let kind = |mask: usize| (0..3).filter(|n| mask >> n & 1 == 1).fold(0, |left, n| left ^ code[HEADER + n]);
    let others = [&code[..HEADER], &code[HEADER + 3..]].concat();
    // Epochs of sessions are odd.
    let changed = |masks: [usize; 3]| {
        let epochs = |mask| (1..256).step_by(2).map(move |epoch| (mask, epoch));
        let both = masks.into_iter().flat_map(epochs);
        both.map(|(mask, epoch)| kind(mask) ^ epoch_syndrome(&code, epoch)).collect::<Vec<_>>()
    };
    // Two wrong bits are found, of three one pattern is lost.
    assert_eq!(undetected(&changed([1, 2, 4]), &others)[..3], [0, 0, 1]);
    assert_eq!(undetected(&changed([3, 5, 6]), &others)[..2], [0; 2]);
}
