// SPDX-License-Identifier: Apache-2.0
//! Cables that are links: two endpoints and the wires between them, words on the bulk channel.

use std::collections::VecDeque;

use tandem_model::block::{Block, Uint};
use tandem_model::link::link_endpoint::{Inputs, Outputs};
use tandem_model::link::types::{LinkState, LinkWord};

use super::network::{Cable, Signals};
use crate::random::split_mix;

/// The channel that carries the words.
const BULK: usize = 2;

/// Two endpoints, and wires of some latency both ways.
#[derive(Clone, Debug)]
pub struct Link<B> {
    ends: [B; 2],
    outputs: [Outputs; 2],
    wires: [VecDeque<(LinkWord, Uint<16>)>; 2],
    latency: usize,
    /// Seed, and a bit is wrong in one beat of so many.
    errors: Option<(u64, u64)>,
    nonces: u16,
}

impl<B: Block<Inputs = Inputs, Outputs = Outputs>> Link<B> {
    /// A link between two endpoints; a beat is so many cycles on the wire. With `errors`, a seed, and one beat of so many has
    /// a wrong bit.
    #[must_use]
    pub fn new(endpoint: &B, latency: usize, errors: Option<(u64, u64)>) -> Self {
        let outputs = endpoint.outputs();
        let quiet = VecDeque::from(vec![(LinkWord::default(), Uint(0)); latency]);
        Self {
            ends: [endpoint.clone(), endpoint.clone()],
            outputs: [outputs.clone(), outputs],
            wires: [quiet.clone(), quiet],
            latency,
            errors,
            nonces: 0,
        }
    }
}

impl<B: Block<Inputs = Inputs, Outputs = Outputs>> Cable for Link<B> {
    fn signals(&self) -> [Signals; 2] {
        self.outputs.each_ref().map(|outputs| Signals {
            word: outputs.word_valid_o[BULK].then_some(outputs.word_o[BULK]),
            ready: outputs.word_ready_o[BULK],
        })
    }

    fn clock(&mut self, ends: [Signals; 2]) {
        let ways = self.wires.iter_mut().zip(&self.outputs);
        ways.for_each(|(wire, outputs)| wire.push_back((outputs.wire_data_o, outputs.wire_side_o)));
        for (end, signals) in ends.into_iter().enumerate() {
            let (mut data, side) = self.wires[1 - end].pop_front().expect("a beat of every cycle");
            if let Some((seed, one_in)) = &mut self.errors {
                let bits = split_mix(seed);
                if bits.is_multiple_of(*one_in) {
                    data.0[usize::from(bits.to_le_bytes()[7] % 8)].0 ^= 1 << (bits >> 40 & 63);
                }
            }
            let mut inputs = Inputs {
                enable_i: true,
                nonce_i: Uint((2 * self.nonces + u16::from(end == 1)) % 128),
                wire_data_i: data,
                wire_side_i: side,
                ..Inputs::default()
            };
            inputs.word_valid_i[BULK] = signals.word.is_some();
            inputs.word_i[BULK] = signals.word.unwrap_or_default();
            inputs.word_ready_i[BULK] = signals.ready;
            self.ends[end].clock(&inputs);
            self.outputs[end] = self.ends[end].outputs();
        }
    }

    fn up(&self) -> bool {
        self.outputs.iter().all(|outputs| outputs.state_o == LinkState::Up)
    }

    fn reset(&mut self) {
        self.nonces += 1;
        for (end, outputs) in self.ends.iter_mut().zip(&mut self.outputs) {
            end.reset();
            *outputs = end.outputs();
        }
        let quiet = VecDeque::from(vec![(LinkWord::default(), Uint(0)); self.latency]);
        self.wires = [quiet.clone(), quiet];
    }
}
