// SPDX-License-Identifier: Apache-2.0
//! Stands for the memory port: a client's requests become bursts of one ID at a memory.

use std::collections::VecDeque;

use tandem_model::block::{Uint, Wide};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{AxiAddress, ReadRequest, ReadWord, WriteDone, WriteRequest};

use crate::memory::Memory;
use crate::memory::port::{Data, MasterSignals, WORD, WriteWord};
use crate::random::split_mix;

/// A word that was given to the client.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// Its bytes, garbage where it was refused.
    pub data: Data,
    /// It was refused, or one before it of its request.
    pub error: bool,
}

/// A word that the client wrote.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Address of the word.
    pub address: u64,
    /// Bytes that were to be written.
    pub strobe: u64,
    /// It was refused. Known when it was responded to.
    pub error: bool,
}

/// What the port drives towards the client.
#[derive(Clone, Debug, Default)]
pub struct ToClient {
    pub request_ready: bool,
    pub word: ReadWord,
    pub data: LinkWord,
    pub write_request_ready: bool,
    pub write_ready: bool,
    pub write_done: WriteDone,
}

/// What the client drives.
#[derive(Clone, Debug, Default)]
pub struct FromClient {
    pub request: ReadRequest,
    pub word_ready: bool,
    pub write_request: WriteRequest,
    pub write_valid: bool,
    pub write_strobe: u64,
    pub write_data: LinkWord,
}

/// The port and the memory behind it.
pub struct Port {
    pub memory: Box<dyn Memory>,
    seed: u64,
    /// Of 256 cycles, in how many each handshake of the client's does not move.
    stall: u8,
    /// A word may be taken before its request.
    eager: bool,
    /// AR that are to be sent: address, words.
    reads: VecDeque<(u64, u64)>,
    /// Of every word that was asked for: the first, the last of its request.
    coming: VecDeque<(bool, bool)>,
    error: bool,
    ready: VecDeque<(ReadWord, Data)>,
    offered: Option<(ReadWord, Data)>,
    /// AW that are to be sent.
    addresses: VecDeque<u64>,
    words: VecDeque<(Data, u64)>,
    dones: VecDeque<WriteDone>,
    /// Requests that were made since the start of the command.
    pub requests: Vec<ReadRequest>,
    pub given: Vec<Given>,
    /// Requests to write; strobes are known when their words have come.
    pub written: Vec<Written>,
    /// Words of `written` that have come.
    words_taken: usize,
    /// Writes whose response has come, and those that the client was told of.
    responses: usize,
    told: usize,
}

impl Port {
    pub fn new(memory: Box<dyn Memory>, stall: u8, eager: bool, seed: u64) -> Self {
        Self {
            memory,
            seed,
            stall,
            eager,
            reads: VecDeque::new(),
            coming: VecDeque::new(),
            error: false,
            ready: VecDeque::new(),
            offered: None,
            addresses: VecDeque::new(),
            words: VecDeque::new(),
            dones: VecDeque::new(),
            requests: Vec::new(),
            given: Vec::new(),
            written: Vec::new(),
            words_taken: 0,
            responses: 0,
            told: 0,
        }
    }

    fn moves(&mut self) -> bool {
        split_mix(&mut self.seed) & 255 >= u64::from(self.stall)
    }

    /// Forgets what the last command did.
    pub fn begin(&mut self) {
        self.requests.clear();
        self.given.clear();
        self.written.clear();
        (self.words_taken, self.responses, self.told) = (0, 0, 0);
    }

    /// Writes whose response the client does not know.
    pub const fn outstanding(&self) -> usize {
        self.written.len() - self.told
    }

    /// Nothing is on its way.
    pub fn idle(&self) -> bool {
        self.coming.is_empty()
            && self.ready.is_empty()
            && self.offered.is_none()
            && self.told == self.written.len()
            && self.words_taken == self.told
    }

    /// Reset of the port and of the memory's.
    pub fn reset(&mut self) {
        self.memory.reset();
        self.reads.clear();
        self.coming.clear();
        self.error = false;
        self.ready.clear();
        self.offered = None;
        self.addresses.clear();
        self.words.clear();
        self.dones.clear();
    }

    /// What it drives in this cycle.
    pub fn drive(&mut self) -> ToClient {
        if self.offered.is_none() && self.moves() {
            self.offered = self.ready.pop_front();
        }
        let noise =
            ReadWord { valid: false, ..self.offered.map_or_else(ReadWord::default, |(word, _)| word) };
        let (word, data) = self.offered.unwrap_or_else(|| {
            let mut seed = self.seed;
            (noise, std::array::from_fn(|_| split_mix(&mut seed).to_le_bytes()[0]))
        });
        let ahead = usize::from(self.eager);
        let write_done =
            if self.moves() { self.dones.pop_front().unwrap_or_default() } else { WriteDone::default() };
        self.told += usize::from(write_done.valid);
        ToClient {
            request_ready: self.moves(),
            word,
            data: link_word(&data),
            write_request_ready: self.moves(),
            write_ready: self.words_taken < self.written.len() + ahead && self.moves(),
            write_done,
        }
    }

    /// The cycle's end: what the client drove in it. What it may not do is said.
    pub fn clock(&mut self, now: &ToClient, client: &FromClient) -> Result<(), String> {
        if client.request.valid && now.request_ready {
            self.request(client.request)?;
        }
        if now.word.valid && client.word_ready {
            let (word, data) = self.offered.take().expect("it was offered");
            self.given.push(Given { data, error: word.error });
        }
        if client.write_request.valid && now.write_request_ready {
            let WriteRequest { address, words, .. } = client.write_request;
            if address.0 % WORD != 0 || words.0 != 1 {
                return Err(format!("a request that may not be: {:?}", client.write_request));
            }
            if self.written.len() < self.words_taken {
                // Its word was taken ahead of it.
                let strobe = self.words.back().expect("it waits for its address").1;
                self.written.push(Written { address: address.0, strobe, error: false });
            } else {
                self.written.push(Written { address: address.0, strobe: 0, error: false });
            }
            self.addresses.push_back(address.0);
        }
        if client.write_valid && now.write_ready {
            if let Some(written) = self.written.get_mut(self.words_taken) {
                written.strobe = client.write_strobe;
            }
            self.words_taken += 1;
            self.words.push_back((client.write_data.bytes(), client.write_strobe));
        }
        self.memory_clock();
        Ok(())
    }

    fn request(&mut self, request: ReadRequest) -> Result<(), String> {
        let (mut address, mut left) = (request.address.0, u64::from(request.words.0));
        if !address.is_multiple_of(WORD) || left == 0 {
            return Err(format!("a request that may not be: {request:?}"));
        }
        for word in 0..left {
            self.coming.push_back((word == 0, word + 1 == left));
        }
        while left > 0 {
            let words = left.min(16).min((4096 - address % 4096) / WORD);
            self.reads.push_back((address, words));
            address += words * WORD;
            left -= words;
        }
        self.requests.push(request);
        Ok(())
    }

    fn memory_clock(&mut self) {
        let burst = |at: Option<(u64, u64)>| {
            at.map_or_else(AxiAddress::default, |(address, words)| AxiAddress {
                valid: true,
                id: Uint(0),
                address: Wide(address),
                length: Uint(u16::try_from(words - 1).expect("short")),
            })
        };
        let write = self.words.front().filter(|_| self.words.len() > self.ahead_of_addresses());
        let master = MasterSignals {
            ar: burst(self.reads.front().copied()),
            r_ready: true,
            aw: burst(self.addresses.front().map(|&address| (address, 1))),
            w: write.map_or_else(WriteWord::default, |&(data, strobe)| WriteWord {
                valid: true,
                data,
                strobe,
                last: true,
            }),
            b_ready: true,
        };
        let slave = self.memory.outputs();
        self.memory.clock(&master);
        if master.ar.valid && slave.ar_ready {
            self.reads.pop_front();
        }
        if master.aw.valid && slave.aw_ready {
            self.addresses.pop_front();
        }
        if master.w.valid && slave.w_ready {
            self.words.pop_front();
        }
        if slave.r.valid {
            let (first, last) = self.coming.pop_front().expect("it was asked for");
            self.error = slave.r.response.0 >= 2 || (self.error && !first);
            let word = ReadWord { valid: true, first, last, error: self.error };
            self.ready.push_back((word, slave.r_data));
        }
        if slave.b.valid {
            let error = slave.b.response.0 >= 2;
            self.written[self.responses].error = error;
            self.responses += 1;
            self.dones.push_back(WriteDone { valid: true, error });
        }
    }

    /// Words whose request has not come.
    fn ahead_of_addresses(&self) -> usize {
        self.words_taken.saturating_sub(self.written.len())
    }
}

fn link_word(data: &Data) -> LinkWord {
    let column = |c: usize| std::array::from_fn(|i| data[8 * c + i]);
    LinkWord(std::array::from_fn(|c| Wide(u64::from_le_bytes(column(c)))))
}
