// SPDX-License-Identifier: Apache-2.0
//! A memory without timing of its own: fixed latency, a word per cycle each way, everything in order.

use std::collections::VecDeque;

use tandem_model::memory::types::{AXI_BYTES, AxiRead, AxiResponse};

use super::contents::Contents;
use super::port::{
    Burst, Data, MasterSignals, Response, SlaveSignals, burst_taken, read_word, write_response,
};
use super::{Memory, WriteIntake};

/// Bursts each way that it accepts before it has answered the first.
const OUTSTANDING: usize = 64;

/// The ideal memory.
#[derive(Clone, Debug)]
pub struct Ideal {
    contents: Contents,
    latency: u64,
    now: u64,
    /// Burst, words sent, when its first word may come.
    reads: VecDeque<(Burst, u64, u64)>,
    r: AxiRead,
    r_data: Data,
    intake: WriteIntake,
    response: Response,
    /// Response and when it may come.
    responses: VecDeque<(AxiResponse, u64)>,
    b: AxiResponse,
}

impl Ideal {
    /// A memory that answers `latency` cycles, at least one, after an address of AR or a last word of W.
    #[must_use]
    pub fn new(contents: Contents, latency: u64) -> Self {
        assert!(latency >= 1, "outputs are registered: a latency of 0 cannot be");
        Self {
            contents,
            latency,
            now: 0,
            reads: VecDeque::new(),
            r: AxiRead::default(),
            r_data: [0; AXI_BYTES],
            intake: WriteIntake::default(),
            response: Response::Okay,
            responses: VecDeque::new(),
            b: AxiResponse::default(),
        }
    }
}

impl Memory for Ideal {
    fn outputs(&self) -> SlaveSignals {
        SlaveSignals {
            ar_ready: self.reads.len() < OUTSTANDING,
            r: self.r,
            r_data: self.r_data,
            aw_ready: self.intake.len() + self.responses.len() < OUTSTANDING,
            w_ready: self.intake.next_word().is_some(),
            b: self.b,
        }
    }

    fn clock(&mut self, master: &MasterSignals) {
        let slave = self.outputs();
        let due = self.now + self.latency;
        self.now += 1;

        if let Some(burst) = burst_taken(&master.ar, slave.ar_ready) {
            self.reads.push_back((burst, 0, due));
        }
        if master.w.valid && slave.w_ready {
            let (burst, index, last) = self.intake.word();
            let written = self.contents.write_word(burst.word(index), &master.w.data, master.w.strobe);
            self.response = self.response.max(written);
            if last {
                let response = std::mem::take(&mut self.response);
                self.responses.push_back((write_response(&burst, response), due));
            }
        }
        if let Some(burst) = burst_taken(&master.aw, slave.aw_ready) {
            self.intake.push(burst);
        }

        if master.r_ready {
            self.r.valid = false;
        }
        if !self.r.valid
            && let Some((burst, sent, due)) = self.reads.front_mut()
            && *due <= self.now
        {
            let (data, response) = self.contents.read_word(burst.word(*sent));
            (self.r, self.r_data) = (read_word(burst, *sent, response), data);
            *sent += 1;
            if self.r.last {
                self.reads.pop_front();
            }
        }
        if master.b_ready {
            self.b.valid = false;
        }
        if !self.b.valid && self.responses.front().is_some_and(|&(_, due)| due <= self.now) {
            self.b = self.responses.pop_front().expect("seen").0;
        }
    }

    fn reset(&mut self) {
        self.reads.clear();
        self.r = AxiRead::default();
        self.intake.clear();
        self.response = Response::Okay;
        self.responses.clear();
        self.b = AxiResponse::default();
    }

    fn contents(&self) -> &Contents {
        &self.contents
    }

    fn contents_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}
