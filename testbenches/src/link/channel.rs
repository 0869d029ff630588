// SPDX-License-Identifier: Apache-2.0
//! One direction of the wire between two endpoints of the link: delay, and everything that goes wrong on a wire. What it
//! does follows from its seed.

use std::collections::VecDeque;

use tandem_model::block::{Bits, low_u16};
use tandem_model::link::flit_rx::MAGIC;
use tandem_model::link::types::{FLIT_WORDS, FlitHeader, LinkWord};

use crate::random::{Flavour, Source};

/// Wires of a direction: 512 of data, 16 beside them.
pub const WIRES: u16 = 528;

/// What the wires carry in a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Beat {
    /// A word of the payload.
    pub data: LinkWord,
    /// A part of header or CRC.
    pub side: u16,
}

impl Beat {
    pub(crate) fn flip(&mut self, wire: u16) {
        let wire = usize::from(wire % WIRES);
        if wire < 512 {
            self.data.0[wire / 64].0 ^= 1 << (wire % 64);
        } else {
            self.side ^= 1 << (wire - 512);
        }
    }

    pub(crate) fn level(&self, wire: u16) -> bool {
        let wire = usize::from(wire % WIRES);
        if wire < 512 {
            self.data.0[wire / 64].0 >> (wire % 64) & 1 == 1
        } else {
            self.side >> (wire - 512) & 1 == 1
        }
    }

    /// It looks like the first of an init flit: the definition, docs/blocks/flit_rx.md.
    pub(crate) fn looks_first(&self) -> bool {
        self.side & 7 == 2 && self.data.bytes()[8..16] == MAGIC
    }
}

/// Something that happens to the wire once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// One wrong bit in the next flit.
    Bit,
    /// A burst of so many bits: neighbouring wires, over the end of a beat into the next. The first and the last are
    /// wrong for certain, those between with a chance of one half.
    Burst(u16),
    /// The next flit's beats are zeros.
    Drop,
    /// The next flit comes once more, in the place of the one behind it.
    Duplicate,
    /// One beat too many, or too few: the receiver's idea of where flits begin is wrong from here on.
    Slip,
    /// A wire stays as it is told.
    Stuck {
        /// Which.
        wire: u16,
        /// At what.
        high: bool,
        /// Cycles.
        cycles: u16,
    },
    /// Nothing but zeros, for so many cycles.
    Silence(u16),
}

/// How often faults happen by themselves.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rates {
    /// Wrong bits per bit.
    pub ber: f64,
    /// Bursts per flit.
    pub burst: f64,
    /// Their length.
    pub burst_bits: u16,
    /// Lost flits per flit.
    pub drop: f64,
    /// Doubled flits per flit.
    pub duplicate: f64,
    /// Slips per flit.
    pub slip: f64,
    /// Nothing ever comes through.
    pub dead: bool,
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Wrong bits that came one by one.
    pub bits: u64,
    /// Bursts.
    pub bursts: u64,
    /// Flits lost.
    pub drops: u64,
    /// Flits doubled.
    pub duplicates: u64,
    /// Beats put in or lost.
    pub slips: u64,
    /// Beats that a stuck wire has changed.
    pub stuck: u64,
    /// Beats that were silenced.
    pub silenced: u64,
}

/// A direction of the wire.
#[derive(Clone, Debug)]
pub struct Channel {
    latency: usize,
    rates: Rates,
    source: Source,
    /// Good bits until the next wrong one.
    until_error: u64,
    /// Beats on their way.
    line: VecDeque<Beat>,
    /// Which beat of a flit came last: found by the init flits, lost when the sender is reset.
    phase: Option<usize>,
    /// The present flit so far, as it was sent.
    flit: [Beat; FLIT_WORDS],
    /// What the beats of the present flit are replaced by.
    instead: Option<[Beat; FLIT_WORDS]>,
    /// The present flit replaces the next one.
    doubled: bool,
    /// To happen with the coming flits.
    faults: VecDeque<Fault>,
    /// Bits to invert: how many beats from now, wire.
    flips: Vec<(u16, u16)>,
    stuck: Option<(u16, bool, u16)>,
    silence: u16,
    counts: Counts,
}

impl Channel {
    /// A wire of so many cycles, free of errors.
    #[must_use]
    pub fn new(latency: usize, seed: u64) -> Self {
        Self {
            latency,
            rates: Rates::default(),
            source: Source::new(seed, Flavour::Plain),
            until_error: u64::MAX,
            line: vec![Beat::default(); latency].into(),
            phase: None,
            flit: [Beat::default(); FLIT_WORDS],
            instead: None,
            doubled: false,
            faults: VecDeque::new(),
            flips: Vec::new(),
            stuck: None,
            silence: 0,
            counts: Counts::default(),
        }
    }

    /// New rates from here on.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
        self.until_error = if rates.ber > 0.0 { self.gap() } else { u64::MAX };
    }

    /// Something to happen, after what was ordered before: at most one a flit.
    pub fn order(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.set_rates(Rates::default());
        self.faults.clear();
        self.flips.clear();
        (self.stuck, self.silence) = (None, 0);
    }

    /// The sender was reset: its flits may begin elsewhere.
    pub fn sender_reset(&mut self) {
        self.phase = None;
        (self.instead, self.doubled) = (None, false);
    }

    /// Cycles from the sender to the receiver, with the beats that were put in.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.line.len()
    }

    /// What has happened.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The header of the flit whose second beat was sent last, in the cycle of that beat.
    #[must_use]
    pub fn sent_header(&self) -> Option<FlitHeader> {
        let bits = u64::from(self.flit[1].side) << 16 | u64::from(self.flit[0].side);
        (self.phase == Some(1)).then(|| FlitHeader::from_bits(bits))
    }

    fn chance(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.uniform() < rate
    }

    /// Above 0, below 1.
    fn uniform(&mut self) -> f64 {
        let bits = u32::try_from(self.source.bits() >> 32).expect("32 bits");
        (f64::from(bits) + 0.5) / 2f64.powi(32)
    }

    /// Good bits in front of a wrong one: they are counted, not rolled one by one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both logarithms are negative, and the quotient saturates"
    )]
    fn gap(&mut self) -> u64 {
        (self.uniform().ln() / (-self.rates.ber).ln_1p()) as u64
    }

    fn wire(&mut self) -> u16 {
        low_u16(self.source.below(u64::from(WIRES)))
    }

    /// A cycle: takes what the sender has on its wires, gives what the receiver sees on its own.
    pub fn carry(&mut self, sent: Beat) -> Beat {
        self.phase = match self.phase {
            Some(phase) => Some((phase + 1) % FLIT_WORDS),
            None => sent.looks_first().then_some(0),
        };
        if self.phase == Some(0) {
            self.begin_flit();
        }
        if self.phase.is_none_or(|phase| phase == 0) {
            self.next_fault();
        }
        let mut beat = sent;
        if let Some(phase) = self.phase {
            self.flit[phase] = sent;
            if let Some(instead) = &self.instead {
                beat = instead[phase];
            }
        }
        self.disturb(&mut beat);
        self.line.push_back(beat);
        self.line.pop_front().expect("one was pushed")
    }

    /// The flit before is whole.
    fn begin_flit(&mut self) {
        self.instead = std::mem::take(&mut self.doubled).then_some(self.flit);
        let Rates { burst, burst_bits, drop, duplicate, slip, .. } = self.rates;
        let kinds = [
            (burst, Fault::Burst(burst_bits)),
            (drop, Fault::Drop),
            (duplicate, Fault::Duplicate),
            (slip, Fault::Slip),
        ];
        for (rate, fault) in kinds {
            if self.chance(rate) {
                self.faults.push_back(fault);
            }
        }
    }

    /// Begins the next of the faults.
    fn next_fault(&mut self) {
        // Only where flits begin can they be lost or doubled.
        let whole = matches!(self.faults.front(), Some(Fault::Drop | Fault::Duplicate));
        if whole && (self.phase.is_none() || self.instead.is_some()) {
            return;
        }
        let Some(fault) = self.faults.pop_front() else { return };
        match fault {
            Fault::Bit => {
                let flip = (low_u16(self.source.below(4)), self.wire());
                self.flips.push(flip);
                self.counts.bits += 1;
            }
            Fault::Burst(bits) => {
                let first = low_u16(self.source.below(4 * u64::from(WIRES)));
                let last = first.saturating_add(bits.saturating_sub(1));
                for place in first..=last {
                    if place == first || place == last || self.source.below(2) == 1 {
                        self.flips.push((place / WIRES, place % WIRES));
                    }
                }
                self.counts.bursts += 1;
            }
            Fault::Drop => {
                self.instead = Some([Beat::default(); FLIT_WORDS]);
                self.counts.drops += 1;
            }
            Fault::Duplicate => {
                self.doubled = true;
                self.counts.duplicates += 1;
            }
            Fault::Slip => {
                let extra = self.line.len() > self.latency;
                if extra && self.source.below(2) == 1 {
                    self.line.pop_back();
                } else if self.line.len() < self.latency + 8 {
                    self.line.push_back(Beat::default());
                }
                self.counts.slips += 1;
            }
            Fault::Stuck { wire, high, cycles } => self.stuck = Some((wire, high, cycles)),
            Fault::Silence(cycles) => self.silence = cycles,
        }
    }

    /// Wrong bits, stuck wires and silence.
    fn disturb(&mut self, beat: &mut Beat) {
        let mut until = self.until_error;
        while until < u64::from(WIRES) {
            beat.flip(low_u16(until));
            self.counts.bits += 1;
            until += 1 + self.gap();
        }
        self.until_error = if until == u64::MAX { until } else { until - u64::from(WIRES) };
        if !self.flips.is_empty() {
            self.flips.retain_mut(|(beats, wire)| {
                if *beats == 0 {
                    beat.flip(*wire);
                    return false;
                }
                *beats -= 1;
                true
            });
        }
        if let Some((wire, high, cycles)) = self.stuck {
            if beat.level(wire) != high {
                beat.flip(wire);
                self.counts.stuck += 1;
            }
            self.stuck = (cycles > 1).then(|| (wire, high, cycles - 1));
        }
        if self.silence > 0 || self.rates.dead {
            *beat = Beat::default();
            self.silence = self.silence.saturating_sub(1);
            self.counts.silenced += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_model::block::Wide;

    /// Beats of numbered flits; the first is an init flit.
    fn sent(cycle: u64) -> Beat {
        let mut beat = Beat::default();
        beat.data.0[0] = Wide(cycle + 1);
        if cycle == 0 {
            beat.data.0[1] = Wide(u64::from_le_bytes(MAGIC));
            beat.side = 2;
        }
        beat
    }

    /// What comes out, as the cycle that it was sent in plus one; zeros are 0.
    fn carried(channel: &mut Channel, cycles: std::ops::Range<u64>) -> Vec<u64> {
        cycles.map(|cycle| channel.carry(sent(cycle)).data.0[0].0).collect()
    }

    #[test]
    fn beats_come_after_the_latency() {
        for latency in [0, 1, 7, 200] {
            let mut channel = Channel::new(latency, 1);
            let late = latency as u64;
            let want: Vec<_> = (0..300).map(|c: u64| (c + 1).saturating_sub(late)).collect();
            assert_eq!(carried(&mut channel, 0..300), want);
            assert_eq!(channel.counts(), Counts::default());
        }
    }

    #[test]
    fn wrong_bits_come_at_their_rate() {
        for (ber, cycles) in [(1e-2, 2000u64), (1e-4, 40_000), (1e-6, 2_000_000)] {
            let mut channel = Channel::new(0, 1);
            channel.set_rates(Rates { ber, ..Rates::default() });
            let mut wrong = 0;
            for _ in 0..cycles {
                let beat = channel.carry(Beat::default());
                wrong += beat.data.0.iter().map(|w| w.0.count_ones()).sum::<u32>() + beat.side.count_ones();
            }
            assert_eq!(u64::from(wrong), channel.counts().bits);
            let expected = ber * f64::from(WIRES) * f64::from(u32::try_from(cycles).unwrap());
            // Five standard deviations.
            assert!(
                (f64::from(wrong) - expected).abs() < 5.0 * expected.sqrt(),
                "{ber}: {wrong}, {expected}"
            );
        }
    }

    #[test]
    fn flits_are_lost_and_doubled_whole() {
        let mut channel = Channel::new(3, 1);
        carried(&mut channel, 0..4);
        channel.order(Fault::Drop);
        channel.order(Fault::Duplicate);
        let out = carried(&mut channel, 4..20);
        assert_eq!(out, [2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12, 9, 10, 11, 12, 17]);
        assert_eq!((channel.counts().drops, channel.counts().duplicates), (1, 1));
    }

    #[test]
    fn slips_move_everything_behind_them() {
        let mut channel = Channel::new(2, 1);
        carried(&mut channel, 0..4);
        channel.order(Fault::Slip);
        assert_eq!(carried(&mut channel, 4..10), [3, 4, 0, 5, 6, 7]);
    }

    #[test]
    fn stuck_wires_and_silence_end() {
        let mut channel = Channel::new(0, 1);
        carried(&mut channel, 0..4);
        channel.order(Fault::Stuck { wire: 8, high: true, cycles: 2 });
        assert_eq!(carried(&mut channel, 4..8), [0x105, 0x106, 7, 8]);
        channel.order(Fault::Silence(3));
        assert_eq!(carried(&mut channel, 8..12), [0, 0, 0, 12]);
        assert_eq!((channel.counts().stuck, channel.counts().silenced), (2, 3));
    }

    #[test]
    fn bursts_stay_within_their_length() {
        for bits in [1, 2, 32, 700] {
            let mut channel = Channel::new(0, u64::from(bits));
            channel.order(Fault::Burst(bits));
            let mut places = Vec::new();
            for beat in 0..8 {
                let got = channel.carry(Beat::default());
                places.extend((0..WIRES).filter(|&w| got.level(w)).map(|w| beat * WIRES + w));
            }
            assert_eq!(places.last().unwrap() - places[0] + 1, bits);
        }
    }
}
