// SPDX-License-Identifier: Apache-2.0
//! Test bench of the framer: it asks for flits, carries the wire from transmitter to receiver with errors on the way, and
//! says of every flit whether it must be good: it is when nothing in it was changed and the epochs are equal.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint, Wide, low_u8, low_u16};
use tandem_model::link::flit_rx::MAGIC;
use tandem_model::link::framer::{Framer, Inputs};
use tandem_model::link::types::{Flit, FlitHeader, FlitKind, FlitRequest, LinkWord};
use tandem_model::reference::crc32c::crc;

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::link::channel::Beat;
use crate::random::split_mix;

/// Property test of `framer`.
#[derive(Clone, Copy, Debug)]
pub struct FramerBench;

/// What happens to the wire, or at the ports.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// So many flits.
    Flits(u8),
    /// The next flit to be taken is an init flit; it is sent, and its end waited for.
    Init,
    /// Realigns, and sends an init flit with one wrong bit in what it is known by.
    Overlooked(u8),
    /// The next flit looks like an init flit in its second beat.
    Decoy,
    /// Inverts this many bits of the next so many beats, within so many neighbouring wires.
    Errors {
        /// Beats.
        beats: u8,
        /// Bits in each.
        bits: u8,
        /// Wires that they lie within, from a random one on.
        within: u16,
    },
    /// Inverts one side wire in the next beat of this index: header in beats 0 and 1, CRC in 2 and 3.
    Side {
        /// Beat.
        beat: u8,
        /// Wire.
        wire: u8,
    },
    /// Loses the next beats.
    Drop(u8),
    /// Repeats the last beat.
    Repeat(u8),
    /// A wire stays as it is told for so many cycles: 0 to 511 data, then side.
    Stuck {
        /// Which.
        wire: u16,
        /// At what.
        high: bool,
        /// How long.
        cycles: u8,
    },
    /// New epochs of transmitter and receiver.
    Epochs(u8, u8),
    /// Realigns after so many cycles.
    Realign(u8),
    /// Resets after so many cycles.
    Reset(u8),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Beats on the wire between transmitter and receiver.
    pub delay: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Flits and places of errors.
    pub seed: u64,
}

const CORNERS: [&str; 21] = [
    "good flit",
    "one wrong bit",
    "wrong bit in the payload only",
    "wrong bit in the header only",
    "wrong bit in the CRC only",
    "many wrong bits",
    "flit of another epoch",
    "init flit in another epoch",
    "beat dropped",
    "beat repeated",
    "phase slipped back by itself",
    "stuck wire",
    "stuck wire that changes nothing",
    "init flit overlooked because of an error",
    "alignment found",
    "alignment found again",
    "alignment on a decoy",
    "realign in the middle of a flit",
    "realign with the last beat",
    "reset in the middle of a flit",
    "reset with a flit on its way",
];

/// A flit as the transmitter must send it.
#[derive(Clone, Debug)]
struct Sent {
    beats: [Beat; 4],
    request: FlitRequest,
    init: bool,
    epoch: u8,
}

/// A beat on its way: which flit it is of, and which beat of it.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    beat: Beat,
    of: Option<(usize, usize)>,
}

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// A device with the untimed view of it.
struct Driver<'a> {
    dut: &'a mut dyn Dut<Framer>,
    seed: u64,
    cycles: u64,
    sent: Vec<Sent>,
    /// Kinds of flits to be taken next; data flits behind them.
    next: VecDeque<Next>,
    /// The flit whose words are asked for and the beat that is due: `None` until the first is taken.
    sending: Option<(usize, usize)>,
    /// What must be on the wire out now.
    out: Carried,
    delay: usize,
    on_wire: VecDeque<Carried>,
    last: Carried,
    errors: Errors,
    epochs: (u8, u8),
    realign: bool,
    /// Beat of its flit that was received last: `None` when it is not known where flits begin.
    at: Option<usize>,
    received: Vec<Carried>,
    /// The receiver's epoch while the first word of the flit was shown.
    epoch: u8,
    /// Whole flits whose CRC is being looked at.
    whole: VecDeque<Option<[Carried; 4]>>,
    aligned_before: bool,
    slipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Init,
    Decoy,
}

/// What the wire does to beats.
#[derive(Clone, Copy, Default, Debug)]
struct Errors {
    beats: u8,
    bits: u8,
    within: u16,
    side: Option<(u8, u8)>,
    magic: Option<u8>,
    drop: u8,
    repeat: u8,
    stuck: Option<(u16, bool)>,
}

impl<'a> Driver<'a> {
    fn new(case: &Case, dut: &'a mut dyn Dut<Framer>) -> Result<Self, DutError> {
        let mut driver = Self {
            dut,
            seed: case.seed,
            cycles: 0,
            sent: Vec::new(),
            next: VecDeque::new(),
            sending: None,
            out: Carried::default(),
            delay: usize::from(case.delay),
            on_wire: VecDeque::new(),
            last: Carried::default(),
            errors: Errors::default(),
            epochs: (0, 0),
            realign: false,
            at: None,
            received: Vec::new(),
            epoch: 0,
            whole: VecDeque::new(),
            aligned_before: false,
            slipped: false,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn word(&mut self) -> LinkWord {
        LinkWord(std::array::from_fn(|_| Wide(self.random())))
    }

    /// The wire forgets nothing, the device does.
    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.noise();
        self.dut.clock(false, &mut inputs)?;
        self.cycles += 1;
        self.sending = None;
        self.out = Carried::default();
        self.on_wire.push_back(self.out);
        self.on_wire.drain(..self.on_wire.len().saturating_sub(self.delay));
        self.at = None;
        self.received.clear();
        self.whole = VecDeque::from([None]);
        self.compare(&Carried::default(), None)
    }

    /// Inputs that mean nothing.
    fn noise(&mut self) -> Inputs {
        Inputs {
            request_i: FlitRequest::from_bits(self.random()),
            tx_word_i: self.word(),
            wire_data_i: self.word(),
            wire_side_i: Uint(low_u16(self.random())),
            epoch_i: Uint(u16::from(low_u8(self.random()))),
            realign_i: false,
        }
    }

    /// A flit of random content, all of it sent as the definition says.
    fn compose(&mut self) -> Sent {
        let mut header = FlitHeader::from_bits(self.random());
        let mut words: [LinkWord; 4] = std::array::from_fn(|_| self.word());
        if self.random() & 3 == 0 {
            // Long runs of zeros.
            words[1..].fill(LinkWord::default());
        }
        let magic = Wide(u64::from_le_bytes(MAGIC));
        match self.next.pop_front() {
            Some(Next::Init) => {
                header.kind = FlitKind::Init;
                words[0].0[1] = magic;
            }
            Some(Next::Decoy) => {
                // Beat 1 carries the upper half of the header: channel of the credits and the lowest bit of the ack.
                header.kind = FlitKind::Data;
                header.credit_channel = Uint(2);
                header.ack.0 &= !1;
                words[1].0[1] = magic;
            }
            None if header.kind == FlitKind::Init => header.kind = FlitKind::Data,
            None => {}
        }
        let init = header.kind == FlitKind::Init;
        let epoch = if init { 0 } else { self.epochs.0 };
        // The epoch is in the state before the payload: it counts as if it were in bytes 0 to 3.
        let mut payload: Vec<u8> = words.iter().flat_map(LinkWord::bytes).collect();
        payload[..4].iter_mut().for_each(|byte| *byte ^= epoch);
        let bytes = header.to_bits().to_le_bytes();
        let message = [&payload[..], &bytes[..4]].concat();
        let check = crc(&message).to_le_bytes();
        let sides = [[bytes[0], bytes[1]], [bytes[2], bytes[3]], [check[0], check[1]], [check[2], check[3]]];
        let beats = std::array::from_fn(|b| Beat { data: words[b], side: u16::from_le_bytes(sides[b]) });
        let request = FlitRequest { header, payload_crc: Wide(u64::from(!crc(&payload))) };
        Sent { beats, request, init, epoch }
    }

    /// What the wire makes of a beat.
    fn carry(&mut self, mut carried: Carried, coverage: &mut Coverage) -> Carried {
        if self.errors.beats > 0 {
            self.errors.beats -= 1;
            let from = low_u16(self.random());
            for _ in 0..self.errors.bits {
                let wire = u32::from(from) + u32::from(low_u16(self.random()) % self.errors.within.max(1));
                carried.beat.flip(low_u16(u64::from(wire % 528)));
            }
        }
        if let (Some((beat, wire)), Some((_, index))) = (self.errors.side, carried.of)
            && usize::from(beat % 4) == index
        {
            carried.beat.flip(512 + u16::from(wire % 16));
            self.errors.side = None;
        }
        if let (Some(bit), Some((flit, 0))) = (self.errors.magic, carried.of)
            && self.sent[flit].init
        {
            carried.beat.flip(64 + u16::from(bit % 64));
            self.errors.magic = None;
        }
        if let Some((wire, high)) = self.errors.stuck {
            let wire = wire % 528;
            let changes = carried.beat.level(wire) != high;
            if changes {
                carried.beat.flip(wire);
            }
            coverage.hit_if(changes, CORNERS[11]);
            coverage.hit_if(!changes, CORNERS[12]);
        }
        carried
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut inputs = self.noise();
        // The transmitter's side.
        let mut out = Carried::default();
        let take = self.sending.is_none_or(|(_, beat)| beat == 3);
        if let Some((flit, beat)) = self.sending {
            out = Carried { beat: self.sent[flit].beats[beat], of: Some((flit, beat)) };
            inputs.tx_word_i = out.beat.data;
        } else {
            // The beat behind a reset belongs to no flit.
            out.beat.data = inputs.tx_word_i;
        }
        if take {
            let sent = self.compose();
            inputs.request_i = sent.request;
            self.sent.push(sent);
        }
        // The wire.
        self.on_wire.push_back(self.out);
        let drops = usize::from(self.errors.drop).min(self.on_wire.len().saturating_sub(1));
        if drops > 0 {
            coverage.hit(CORNERS[8]);
            self.on_wire.drain(..drops);
            self.slipped = true;
        }
        self.errors.drop = 0;
        let mut coming = self.last;
        if self.errors.repeat > 0 {
            self.errors.repeat -= 1;
            self.slipped = true;
            coverage.hit(CORNERS[9]);
        } else if self.on_wire.len() > self.delay.min(2) {
            coming = self.on_wire.pop_front().unwrap_or_default();
        }
        self.last = coming;
        let coming = self.carry(coming, coverage);
        inputs.wire_data_i = coming.beat.data;
        inputs.wire_side_i = Uint(coming.beat.side);
        // The receiver's side.
        if self.at == Some(0) {
            self.epoch = self.epochs.1;
            inputs.epoch_i = Uint(u16::from(self.epoch));
        }
        inputs.realign_i = std::mem::take(&mut self.realign);
        coverage.hit_if(inputs.realign_i && matches!(self.at, Some(0..3)), CORNERS[17]);
        coverage.hit_if(inputs.realign_i && self.at == Some(3), CORNERS[18]);
        let realign = inputs.realign_i;
        self.dut.clock(true, &mut inputs)?;
        self.cycles += 1;
        self.out = out;
        self.sending = match self.sending {
            Some((flit, beat)) if !take => Some((flit, beat + 1)),
            _ => Some((self.sent.len() - 1, 0)),
        };
        let due = self.whole.pop_back().flatten();
        self.receive(coming, realign, coverage);
        let expected = due.map(|beats| self.judge(&beats, coverage));
        self.compare(&coming, expected)
    }

    /// Counts beats as the definition says.
    fn receive(&mut self, coming: Carried, realign: bool, coverage: &mut Coverage) {
        self.at = self.at.filter(|_| !realign).map(|at| (at + 1) % 4);
        if self.at.is_none() && coming.beat.looks_first() {
            self.at = Some(0);
            coverage.hit(CORNERS[if self.aligned_before { 15 } else { 14 }]);
            coverage.hit_if(coming.of.is_some_and(|(_, beat)| beat != 0), CORNERS[16]);
            self.aligned_before = true;
            self.slipped = false;
        }
        let overlooked = coming.of.is_some_and(|(flit, beat)| self.sent[flit].init && beat == 0);
        coverage.hit_if(self.at.is_none() && overlooked, CORNERS[13]);
        let mut whole = None;
        match self.at {
            Some(0) => self.received = vec![coming],
            Some(_) => self.received.push(coming),
            None => {}
        }
        if self.at == Some(3) {
            whole = self.received[..].try_into().ok();
        }
        self.whole.push_front(whole);
    }

    /// What must come out for four beats that count as a flit.
    fn judge(&mut self, beats: &[Carried; 4], coverage: &mut Coverage) -> Flit {
        let header = u64::from(beats[1].beat.side) << 16 | u64::from(beats[0].beat.side);
        let got = beats.map(|carried| carried.beat);
        let first = beats[0].of.filter(|(_, beat)| *beat == 0).map(|(flit, _)| &self.sent[flit]);
        let Some(sent) = first else {
            return Flit { valid: true, good: false, header: FlitHeader::from_bits(header) };
        };
        let intact = got == sent.beats;
        let same_epoch = sent.init || sent.epoch == self.epoch;
        let whole = (0..4).all(|b| beats[b].of.is_some_and(|(_, beat)| beat == b));
        let bits = |a: &Beat, b: &Beat| {
            let data = a.data.0.iter().zip(&b.data.0).map(|(a, b)| (a.0 ^ b.0).count_ones()).sum::<u32>();
            (data, (a.side ^ b.side).count_ones())
        };
        let differ: Vec<_> = got.iter().zip(&sent.beats).map(|(a, b)| bits(a, b)).collect();
        let data: u32 = differ.iter().map(|d| d.0).sum();
        let (head, check) = (differ[0].1 + differ[1].1, differ[2].1 + differ[3].1);
        coverage.hit_if(intact && same_epoch, CORNERS[0]);
        coverage.hit_if(data + head + check == 1, CORNERS[1]);
        coverage.hit_if(whole && data > 0 && head + check == 0, CORNERS[2]);
        coverage.hit_if(whole && head > 0 && data + check == 0, CORNERS[3]);
        coverage.hit_if(whole && check > 0 && data + head == 0, CORNERS[4]);
        coverage.hit_if(whole && data + head + check > 5, CORNERS[5]);
        coverage.hit_if(intact && !same_epoch, CORNERS[6]);
        coverage.hit_if(intact && sent.init && self.epoch != sent.epoch, CORNERS[7]);
        coverage.hit_if(intact && self.slipped, CORNERS[10]);
        Flit { valid: true, good: intact && same_epoch, header: FlitHeader::from_bits(header) }
    }

    /// The outputs after a clock.
    fn compare(&self, coming: &Carried, flit: Option<Flit>) -> Result<(), DutError> {
        let outputs = self.dut.outputs();
        let at = self.cycles;
        let index = self.sending.map_or(3, |(_, beat)| beat);
        if (outputs.take_o, usize::from(outputs.tx_word_index_o.0)) != (index == 3, index) {
            return Err(wrong(format!("cycle {at}: {outputs:?}, expected to want word {index}")));
        }
        // What is on the wire between reset and the first flit means nothing, and is not looked at.
        let wire = Beat { data: outputs.wire_data_o, side: outputs.wire_side_o.0 };
        if self.out.of.is_some() && wire != self.out.beat {
            return Err(wrong(format!("cycle {at}: on the wire {wire:?}, expected {:?}", self.out)));
        }
        let received = (outputs.rx_word_valid_o, usize::from(outputs.rx_word_index_o.0), outputs.aligned_o);
        if received != (self.at.is_some(), self.at.unwrap_or(0), self.at.is_some()) {
            return Err(wrong(format!("cycle {at}: {outputs:?}, expected beat {:?}", self.at)));
        }
        if self.at.is_some() && outputs.rx_word_o != coming.beat.data {
            return Err(wrong(format!("cycle {at}: word {:?}, expected {coming:?}", outputs.rx_word_o)));
        }
        let channel = self.received.first().map_or(0, |first| first.beat.side >> 6 & 3);
        if self.at.is_some() && outputs.rx_word_channel_o.0 != channel {
            return Err(wrong(format!("cycle {at}: {outputs:?}, expected a word of channel {channel}")));
        }
        if outputs.flit_o != flit.unwrap_or_default() {
            return Err(wrong(format!("cycle {at}: {:?}, expected {flit:?}", outputs.flit_o)));
        }
        Ok(())
    }

    fn clocks(&mut self, clocks: usize, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..clocks).try_for_each(|_| self.clock(coverage))
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Flits(flits) => self.clocks(4 * usize::from(flits), coverage)?,
            Op::Init => {
                self.next.push_back(Next::Init);
                self.clocks(12, coverage)?;
            }
            Op::Overlooked(bit) => {
                self.realign = true;
                self.clocks(1, coverage)?;
                self.errors.magic = Some(bit);
                self.run(Op::Init, coverage)?;
            }
            Op::Decoy => {
                self.next.push_back(Next::Decoy);
                self.clocks(6, coverage)?;
            }
            Op::Errors { beats, bits, within } => {
                self.errors = Errors { beats, bits, within, ..self.errors };
                self.clocks(usize::from(beats), coverage)?;
            }
            Op::Side { beat, wire } => {
                self.errors.side = Some((beat, wire));
                self.clocks(8, coverage)?;
            }
            Op::Drop(beats) => {
                self.errors.drop = beats;
                self.clock(coverage)?;
            }
            Op::Repeat(beats) => {
                self.errors.repeat = beats;
                self.clocks(usize::from(beats), coverage)?;
            }
            Op::Stuck { wire, high, cycles } => {
                self.errors.stuck = Some((wire, high));
                self.clocks(usize::from(cycles), coverage)?;
                self.errors.stuck = None;
            }
            Op::Epochs(tx, rx) => self.epochs = (tx, rx),
            Op::Realign(after) => {
                self.clocks(usize::from(after), coverage)?;
                self.realign = true;
                self.clock(coverage)?;
            }
            Op::Reset(after) => {
                self.clocks(usize::from(after), coverage)?;
                coverage.hit_if(matches!(self.at, Some(0..3)), CORNERS[19]);
                coverage.hit_if(self.whole.iter().any(Option::is_some), CORNERS[20]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

impl Bench for FramerBench {
    type Block = Framer;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let errors = (1..6u8, 1..8u8, prop_oneof![Just(1u16), Just(32), Just(528)]);
        let op = prop_oneof![
            6 => (1..8u8).prop_map(Op::Flits),
            4 => Just(Op::Init),
            2 => Just(Op::Decoy),
            1 => (0..64u8).prop_map(Op::Overlooked),
            4 => errors.prop_map(|(beats, bits, within)| Op::Errors { beats, bits, within }),
            3 => Just(Op::Errors { beats: 1, bits: 1, within: 528 }),
            4 => (0..4u8, 0..16u8).prop_map(|(beat, wire)| Op::Side { beat, wire }),
            2 => (1..4u8).prop_map(Op::Drop),
            2 => (1..4u8).prop_map(Op::Repeat),
            2 => (prop_oneof![0..528u16, 512..528u16], any::<bool>(), 1..24u8)
                .prop_map(|(wire, high, cycles)| Op::Stuck { wire, high, cycles }),
            2 => any::<u8>().prop_map(|epoch| Op::Epochs(epoch, epoch)),
            1 => (any::<u8>(), any::<u8>()).prop_map(|(tx, rx)| Op::Epochs(tx, rx)),
            3 => (0..8u8).prop_map(Op::Realign),
            1 => (0..16u8).prop_map(Op::Reset),
        ];
        (0..6u8, vec(op, 1..60), any::<u64>())
            .prop_map(|(delay, ops, seed)| Case { delay, ops, seed })
            .boxed()
    }

    fn model(&self) -> Framer {
        Framer::default()
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Framer>, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut driver = Driver::new(case, dut)?;
        // Something to lose.
        driver.run(Op::Init, coverage)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.clocks(16, coverage)?;
        coverage.add_cycles(driver.cycles);
        Ok(())
    }
}
