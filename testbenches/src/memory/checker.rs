// SPDX-License-Identifier: Apache-2.0
//! The rules of the memory port, checked in every cycle on what both sides drive.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::ops::Range;

use tandem_model::memory::types::{AXI_ADDRESS_BITS, AXI_ID_BITS};

use super::port::{Burst, MasterSignals, SlaveSignals, WORD, burst_taken};

const IDS: usize = 1 << AXI_ID_BITS;
/// No burst crosses a multiple of this.
const PAGE: u64 = 4096;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// An address of AR stays until it is taken.
    ArHeld,
    /// An address of AW stays until it is taken.
    AwHeld,
    /// A word of W stays until it is taken.
    WHeld,
    /// A word of R stays until it is taken.
    RHeld,
    /// A response of B stays until it is taken.
    BHeld,
    /// ID, length, address and response fit their fields; no response is EXOKAY, as no access is exclusive.
    Fields,
    /// Bursts begin at a multiple of the word's size.
    Aligned,
    /// No burst crosses 4 KB.
    Page,
    /// Bursts stay within the bounds.
    Bounds,
    /// At most so many read bursts are unanswered.
    ReadsOutstanding,
    /// At most so many write bursts are unanswered.
    WritesOutstanding,
    /// The last word of a write burst is marked, no other.
    WriteLast,
    /// R answers a read burst of its ID.
    ReadId,
    /// The last word of a read burst is marked, no other. Bursts of an ID come in order.
    ReadLast,
    /// B answers a write burst of its ID.
    ResponseId,
    /// B comes after the last word of its burst.
    ResponseEarly,
    /// In reset nothing is valid.
    Reset,
    /// At the end everything has been answered.
    Unanswered,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 18] = [
        Self::ArHeld,
        Self::AwHeld,
        Self::WHeld,
        Self::RHeld,
        Self::BHeld,
        Self::Fields,
        Self::Aligned,
        Self::Page,
        Self::Bounds,
        Self::ReadsOutstanding,
        Self::WritesOutstanding,
        Self::WriteLast,
        Self::ReadId,
        Self::ReadLast,
        Self::ResponseId,
        Self::ResponseEarly,
        Self::Reset,
        Self::Unanswered,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArHeld => "AXI-AR-HELD",
            Self::AwHeld => "AXI-AW-HELD",
            Self::WHeld => "AXI-W-HELD",
            Self::RHeld => "AXI-R-HELD",
            Self::BHeld => "AXI-B-HELD",
            Self::Fields => "AXI-FIELDS",
            Self::Aligned => "AXI-ALIGNED",
            Self::Page => "AXI-4KB",
            Self::Bounds => "AXI-BOUNDS",
            Self::ReadsOutstanding => "AXI-READS-OUTSTANDING",
            Self::WritesOutstanding => "AXI-WRITES-OUTSTANDING",
            Self::WriteLast => "AXI-WRITE-LAST",
            Self::ReadId => "AXI-READ-ID",
            Self::ReadLast => "AXI-READ-LAST",
            Self::ResponseId => "AXI-RESPONSE-ID",
            Self::ResponseEarly => "AXI-RESPONSE-EARLY",
            Self::Reset => "AXI-RESET",
            Self::Unanswered => "AXI-UNANSWERED",
        }
    }
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// In which cycle, from 0.
    pub cycle: u64,
    /// What came, and what was expected.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cycle {}: {} is broken: {}", self.cycle, self.rule.name(), self.what)
    }
}

impl Error for Broken {}

/// What may differ from port to port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Read bursts at most that are unanswered.
    pub reads: usize,
    /// Write bursts at most that are unanswered, from the transfer of AW to that of B.
    pub writes: usize,
    /// Where the bursts may lie.
    pub bounds: Range<u64>,
}

/// Words of a write burst that have come.
#[derive(Clone, Copy, Debug, Default)]
struct Words {
    count: u64,
    last: bool,
}

/// Watches a port.
#[derive(Clone, Debug)]
pub struct Checker {
    limits: Limits,
    cycle: u64,
    before: Option<(MasterSignals, SlaveSignals)>,
    /// Per ID the words of each read burst that are to come.
    reads: [VecDeque<u64>; IDS],
    /// Write bursts whose words have not all come: ID, words.
    writes: VecDeque<(usize, u64)>,
    /// Words that have come, of these bursts or of such whose address is to come.
    words: VecDeque<Words>,
    /// Per ID the write bursts that wait for a response only.
    written: [usize; IDS],
}

impl Checker {
    /// A checker of a port after reset.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            cycle: 0,
            before: None,
            reads: std::array::from_fn(|_| VecDeque::new()),
            writes: VecDeque::new(),
            words: VecDeque::new(),
            written: [0; IDS],
        }
    }

    fn require(&self, rule: Rule, holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(Broken { rule, cycle: self.cycle, what: what() }) }
    }

    /// Checks a cycle.
    ///
    /// # Errors
    /// When a rule is broken. The checker is of no use then.
    pub fn check(&mut self, master: &MasterSignals, slave: &SlaveSignals) -> Result<(), Broken> {
        if let Some((master_before, slave_before)) = self.before.replace((*master, *slave)) {
            self.check_held(&master_before, &slave_before, master, slave)?;
        }
        self.check_read(master, slave)?;
        self.check_response(master, slave)?;
        for address in [&master.ar, &master.aw] {
            if address.valid {
                let fits = address.id.0 >> AXI_ID_BITS == 0
                    && address.length.0 < 256
                    && address.address.0 >> AXI_ADDRESS_BITS == 0;
                self.require(Rule::Fields, fits, || format!("an address has {address:?}"))?;
                self.check_burst(&Burst::from(address))?;
            }
        }
        if let Some(burst) = burst_taken(&master.ar, slave.ar_ready) {
            self.reads[burst.id].push_back(burst.words);
            let (open, limit) = (self.reads.iter().map(VecDeque::len).sum::<usize>(), self.limits.reads);
            self.require(Rule::ReadsOutstanding, open <= limit, || format!("{open} are, {limit} may be"))?;
        }
        if let Some(burst) = burst_taken(&master.aw, slave.aw_ready) {
            self.writes.push_back((burst.id, burst.words));
            let open = self.writes.len() + self.written.iter().sum::<usize>();
            let limit = self.limits.writes;
            self.require(Rule::WritesOutstanding, open <= limit, || format!("{open} are, {limit} may be"))?;
        }
        if master.w.valid && slave.w_ready {
            if self.words.back().is_none_or(|words| words.last) {
                self.words.push_back(Words::default());
            }
            let words = self.words.back_mut().expect("there is one");
            words.count += 1;
            words.last = master.w.last;
        }
        self.match_words()?;
        self.cycle += 1;
        Ok(())
    }

    /// Checks a cycle in reset.
    ///
    /// # Errors
    /// When something is valid.
    pub fn check_reset(&mut self, master: &MasterSignals, slave: &SlaveSignals) -> Result<(), Broken> {
        let valid = [
            ("AR", master.ar.valid),
            ("AW", master.aw.valid),
            ("W", master.w.valid),
            ("R", slave.r.valid),
            ("B", slave.b.valid),
        ];
        for (channel, valid) in valid {
            self.require(Rule::Reset, !valid, || format!("{channel} is valid"))?;
        }
        *self = Self { cycle: self.cycle + 1, ..Self::new(self.limits.clone()) };
        Ok(())
    }

    /// Checks that nothing is left to be answered.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(&self) -> Result<(), Broken> {
        let reads = self.reads.iter().map(VecDeque::len).sum::<usize>();
        let written = self.written.iter().sum::<usize>();
        let (writes, words) = (self.writes.len(), self.words.len());
        self.require(Rule::Unanswered, [reads, writes, words, written] == [0; 4], || {
            format!(
                "{reads} read bursts; {writes} write bursts without all their words, {written} without a response; \
                 words of {words} write bursts"
            )
        })
    }

    fn check_held(
        &self,
        master_before: &MasterSignals,
        slave_before: &SlaveSignals,
        master: &MasterSignals,
        slave: &SlaveSignals,
    ) -> Result<(), Broken> {
        let (mb, sb) = (master_before, slave_before);
        let was = |before: &dyn fmt::Debug, now: &dyn fmt::Debug| format!("{before:?} became {now:?}");
        self.require(Rule::ArHeld, !mb.ar.valid || sb.ar_ready || mb.ar == master.ar, || {
            was(&mb.ar, &master.ar)
        })?;
        self.require(Rule::AwHeld, !mb.aw.valid || sb.aw_ready || mb.aw == master.aw, || {
            was(&mb.aw, &master.aw)
        })?;
        self.require(Rule::WHeld, !mb.w.valid || sb.w_ready || mb.w == master.w, || was(&mb.w, &master.w))?;
        let r = (sb.r, sb.r_data) == (slave.r, slave.r_data);
        self.require(Rule::RHeld, !sb.r.valid || mb.r_ready || r, || was(&sb.r, &slave.r))?;
        self.require(Rule::BHeld, !sb.b.valid || mb.b_ready || sb.b == slave.b, || was(&sb.b, &slave.b))
    }

    fn check_burst(&self, burst: &Burst) -> Result<(), Broken> {
        let Range { start, end } = burst.bytes();
        let what = || format!("a burst has the bytes {start:#x}..{end:#x}");
        self.require(Rule::Aligned, start % WORD == 0, what)?;
        self.require(Rule::Page, start / PAGE == (end - 1) / PAGE, what)?;
        let bounds = &self.limits.bounds;
        self.require(Rule::Bounds, bounds.start <= start && end <= bounds.end, what)
    }

    fn check_read(&mut self, master: &MasterSignals, slave: &SlaveSignals) -> Result<(), Broken> {
        let r = slave.r;
        if !r.valid {
            return Ok(());
        }
        let fits = usize::from(r.id.0) < IDS && [0, 2, 3].contains(&r.response.0);
        self.require(Rule::Fields, fits, || format!("R has {r:?}"))?;
        let id = usize::from(r.id.0);
        let left = self.reads[id].front().copied();
        self.require(Rule::ReadId, left.is_some(), || format!("no read burst has the ID {id}"))?;
        self.require(Rule::ReadLast, left.map(|left| left == 1) == Some(r.last), || {
            format!("{left:?} words of ID {id} are to come, last is {}", r.last)
        })?;
        if master.r_ready {
            if let Some(left) = self.reads[id].front_mut() {
                *left -= 1;
            }
            if r.last {
                self.reads[id].pop_front();
            }
        }
        Ok(())
    }

    fn check_response(&mut self, master: &MasterSignals, slave: &SlaveSignals) -> Result<(), Broken> {
        let b = slave.b;
        if !b.valid {
            return Ok(());
        }
        let fits = usize::from(b.id.0) < IDS && [0, 2, 3].contains(&b.response.0);
        self.require(Rule::Fields, fits, || format!("B has {b:?}"))?;
        let id = usize::from(b.id.0);
        let written = self.written[id] > 0;
        let begun = self.writes.iter().any(|&(of, _)| of == id);
        self.require(Rule::ResponseId, written || begun, || format!("no write burst has the ID {id}"))?;
        self.require(Rule::ResponseEarly, written, || format!("words of ID {id} are to come"))?;
        self.written[id] -= usize::from(master.b_ready);
        Ok(())
    }

    /// Compares words of W with the addresses of AW, as far as both have come.
    fn match_words(&mut self) -> Result<(), Broken> {
        while let (Some(&(id, length)), Some(&Words { count, last })) =
            (self.writes.front(), self.words.front())
        {
            self.require(Rule::WriteLast, if last { count == length } else { count < length }, || {
                format!("{count} words of a burst of {length} with ID {id} have come, last is {last}")
            })?;
            if !last {
                break;
            }
            self.writes.pop_front();
            self.words.pop_front();
            self.written[id] += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tandem_model::block::{Uint, Wide};
    use tandem_model::memory::types::{AxiAddress, AxiRead, AxiResponse};

    use super::super::port::WriteWord;
    use super::*;

    type Cycle = (MasterSignals, SlaveSignals);

    const IDLE: fn() -> Cycle = || (MasterSignals::default(), SlaveSignals::default());

    fn limits() -> Limits {
        Limits { reads: 2, writes: 2, bounds: 0..1 << 16 }
    }

    fn address(id: u16, address: u64, words: u16) -> AxiAddress {
        AxiAddress { valid: true, id: Uint(id), address: Wide(address), length: Uint(words - 1) }
    }

    fn ar(id: u16, at: u64, words: u16, ready: bool) -> Cycle {
        let (mut master, mut slave) = IDLE();
        (master.ar, slave.ar_ready) = (address(id, at, words), ready);
        (master, slave)
    }

    fn aw(id: u16, at: u64, words: u16, ready: bool) -> Cycle {
        let (mut master, mut slave) = IDLE();
        (master.aw, slave.aw_ready) = (address(id, at, words), ready);
        (master, slave)
    }

    fn w(byte: u8, last: bool, ready: bool) -> Cycle {
        let (mut master, mut slave) = IDLE();
        (master.w, slave.w_ready) = (WriteWord { valid: true, data: [byte; 64], strobe: 1, last }, ready);
        (master, slave)
    }

    fn r(id: u16, byte: u8, last: bool, ready: bool) -> Cycle {
        let (mut master, mut slave) = IDLE();
        slave.r = AxiRead { valid: true, id: Uint(id), response: Uint(0), last };
        (master.r_ready, slave.r_data) = (ready, [byte; 64]);
        (master, slave)
    }

    fn b(id: u16, response: u16, ready: bool) -> Cycle {
        let (mut master, mut slave) = IDLE();
        slave.b = AxiResponse { valid: true, id: Uint(id), response: Uint(response) };
        master.b_ready = ready;
        (master, slave)
    }

    /// Runs it and looks at the end.
    fn run(cycles: &[Cycle]) -> Result<(), Broken> {
        let mut checker = Checker::new(limits());
        for (master, slave) in cycles {
            checker.check(master, slave)?;
        }
        checker.finish()
    }

    #[test]
    fn good_traffic_passes() {
        let cycles = [
            ar(1, 0, 2, false),
            ar(1, 0, 2, true),
            ar(2, 0xF80, 2, true),
            r(2, 5, false, false),
            r(2, 5, false, true),
            r(1, 6, false, true),
            r(2, 7, true, true),
            r(1, 8, true, true),
            // Words before their address, and a second burst whose address comes first.
            w(1, false, false),
            w(1, false, true),
            w(2, true, true),
            w(3, true, true),
            aw(3, 0, 2, false),
            aw(3, 0, 2, true),
            aw(4, 0, 1, true),
            b(4, 2, false),
            b(4, 2, true),
            b(3, 0, true),
            aw(3, 0xFC0, 1, true),
            w(3, true, true),
            b(3, 3, true),
        ];
        run(&cycles).unwrap();
    }

    /// Traffic that breaks a rule in its last cycle, and only this one.
    fn twins(rule: Rule) -> Vec<Vec<Cycle>> {
        match rule {
            Rule::ArHeld => vec![
                vec![ar(1, 0, 1, false), IDLE()],
                vec![ar(1, 0, 1, false), ar(2, 0, 1, false)],
                vec![ar(1, 0, 1, false), ar(1, 64, 1, false)],
                vec![ar(1, 0, 1, false), ar(1, 0, 2, false)],
            ],
            Rule::AwHeld => {
                vec![vec![aw(1, 0, 1, false), IDLE()], vec![aw(1, 0, 1, false), aw(1, 64, 1, false)]]
            }
            Rule::WHeld => vec![
                vec![w(1, false, false), IDLE()],
                vec![w(1, false, false), w(2, false, false)],
                vec![w(1, false, false), w(1, true, false)],
            ],
            Rule::RHeld => vec![
                vec![ar(1, 0, 2, true), r(1, 0, false, false), IDLE()],
                vec![ar(1, 0, 2, true), r(1, 0, false, false), r(1, 1, false, false)],
            ],
            Rule::BHeld => vec![
                vec![aw(1, 0, 1, true), w(0, true, true), b(1, 0, false), IDLE()],
                vec![aw(1, 0, 1, true), w(0, true, true), b(1, 0, false), b(1, 2, false)],
            ],
            Rule::Fields => vec![
                vec![ar(16, 0, 1, false)],
                vec![ar(1, 0, 257, false)],
                vec![aw(1, 1 << 40, 1, false)],
                vec![aw(1, 0, 1, true), w(0, true, true), b(1, 1, false)],
            ],
            Rule::Aligned => vec![vec![ar(1, 32, 1, false)], vec![aw(1, 8, 1, false)]],
            Rule::Page => vec![vec![ar(1, 0xFC0, 2, false)], vec![aw(1, 0x40, 64, false)]],
            Rule::Bounds => vec![vec![ar(1, 1 << 16, 1, false)]],
            Rule::ReadsOutstanding => vec![vec![ar(1, 0, 1, true), ar(1, 0, 1, true), ar(2, 0, 1, true)]],
            Rule::WritesOutstanding => {
                vec![vec![aw(1, 0, 1, true), w(0, true, true), aw(1, 0, 1, true), aw(2, 0, 1, true)]]
            }
            Rule::WriteLast => vec![
                vec![aw(1, 0, 2, true), w(0, true, true)],
                vec![aw(1, 0, 1, true), w(0, false, true)],
                vec![w(0, false, true), w(0, true, true), aw(1, 0, 1, true)],
                vec![w(0, false, true), aw(1, 0, 1, true)],
            ],
            Rule::ReadId => vec![
                vec![r(1, 0, true, false)],
                vec![ar(1, 0, 1, true), r(2, 0, true, false)],
                vec![ar(1, 0, 1, true), r(1, 0, true, true), r(1, 0, true, true)],
            ],
            Rule::ReadLast => vec![
                vec![ar(1, 0, 2, true), r(1, 0, true, true)],
                vec![ar(1, 0, 1, true), r(1, 0, false, true)],
                // The second burst of an ID before the first.
                vec![ar(1, 0, 2, true), ar(1, 0, 1, true), r(1, 0, true, true)],
            ],
            Rule::ResponseId => {
                vec![vec![b(1, 0, false)], vec![aw(1, 0, 1, true), w(0, true, true), b(2, 0, false)]]
            }
            Rule::ResponseEarly => vec![
                vec![aw(1, 0, 1, true), b(1, 0, false)],
                vec![aw(1, 0, 2, true), w(0, false, true), b(1, 0, false)],
            ],
            Rule::Unanswered => vec![
                vec![ar(1, 0, 1, true)],
                vec![aw(1, 0, 1, true)],
                vec![w(0, true, true)],
                vec![aw(1, 0, 1, true), w(0, true, true)],
            ],
            // Its own test below.
            Rule::Reset => Vec::new(),
        }
    }

    #[test]
    fn every_rule_is_seen_broken() {
        for rule in Rule::ALL {
            for cycles in twins(rule) {
                let broken = run(&cycles).unwrap_err();
                let last = cycles.len() - usize::from(rule != Rule::Unanswered);
                assert_eq!((broken.rule, broken.cycle), (rule, last as u64), "{broken}");
            }
        }
    }

    #[test]
    fn reset_wants_quiet_and_forgets() {
        let mut checker = Checker::new(limits());
        let (master, slave) = ar(1, 0, 1, true);
        checker.check(&master, &slave).unwrap();
        let (master, slave) = IDLE();
        checker.check_reset(&master, &slave).unwrap();
        checker.finish().unwrap();
        let noises =
            [ar(1, 0, 1, false), aw(1, 0, 1, false), w(0, true, false), r(1, 0, true, false), b(1, 0, false)];
        for (master, slave) in noises {
            let broken = checker.clone().check_reset(&master, &slave).unwrap_err();
            assert_eq!(broken.rule, Rule::Reset, "{broken}");
        }
    }
}
