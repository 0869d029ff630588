// SPDX-License-Identifier: Apache-2.0
//! The ends of the vector unit in lockstep, each on its own: `argmax` and `vector_writer`, on random words.

use std::path::Path;

use tandem::lockstep::Lockstep;
use tandem_model::block::{Block, Uint, Wide, low_u16};
use tandem_model::memory::types::WriteDone;
use tandem_model::numerics::Float36;
use tandem_model::vector::types::{Form, VectorPlace, VectorWord};
use tandem_model::vector::vector_writer::{COMING, VectorWriter};
use tandem_model::vector::{argmax, vector_writer};
use tandem_testbenches::random::split_mix;
use tandem_verilate::Spec;

/// Random choices.
struct Source(u64);

impl Source {
    fn bits(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    fn small(&mut self, n: u64) -> u16 {
        low_u16(self.below(n))
    }

    /// True once in `n` times.
    fn once(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Zeros, few values and any.
    fn number(&mut self) -> Wide<32> {
        Wide(match self.below(4) {
            0 => self.below(2) << 31,
            1 => 0x3F80_0000 | self.below(2) << 31 | self.below(2),
            2 => self.below(2) << 31 | self.below(1 << 23),
            _ => self.bits() & 0xFFFF_FFFF,
        })
    }

    /// Any float, most of them in binary32's range.
    fn float(&mut self) -> Float36 {
        let exponent = match self.below(64) {
            0 => self.below(4096),
            1 => 2048 - 130 + self.below(8),
            2 => 2048 + 124 + self.below(8),
            _ => 2048 - 8 + self.below(16),
        };
        Float36::canonical(self.bits() & ((1 << 23) - 1) | exponent << 23 | self.below(2) << 35)
    }
}

fn lockstep<B: Block>(top: &str, mut model: B, seed: u64) -> Lockstep<B> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut spec = Spec::of_model(top, top, project, &mut model);
    spec.include_dirs.push(project.join("rtl/vector"));
    spec.sources.push(project.join(format!("rtl/vector/{top}.sv")));
    Lockstep::verilated(&spec, project, model, seed).unwrap()
}

#[test]
fn argmax_is_its_model() {
    let mut random = Source(1);
    let mut model = argmax::Argmax::default();
    let mut run = lockstep("argmax", model.clone(), 1);
    let mut count = 1;
    for cycle in 0..20_000 {
        let rst_ni = cycle != 0 && !random.once(2000);
        let mut i = argmax::Inputs { a_i: std::array::from_fn(|_| random.number()), ..Default::default() };
        if model.busy() || !random.once(20) {
            let group = random.small(1 + count / 16 + 2);
            let unit = Uint(random.small(8));
            i.word_i = VectorWord { valid: !random.once(4), unit, group: Uint(group), ..Default::default() };
            // The rest of the tag means nothing.
            (i.word_i.hi, i.word_i.hold) = (random.once(2), Uint(random.small(8)));
        } else {
            i.clear_i = true;
            count = if random.once(4) { (1 << 20) - 1 } else { 1 + random.below(200) };
        }
        i.count_i = Wide(count);
        run.step(rst_ni, &mut i).unwrap();
        if rst_ni {
            model.clock(&i);
        } else {
            model.reset();
        }
    }
    let totals = run.finish().unwrap();
    assert_eq!(totals.cycles, 20_000);
}

#[test]
fn vector_writer_is_its_model() {
    let mut random = Source(2);
    let mut model = VectorWriter::default();
    let mut run = lockstep("vector_writer", model.clone(), 1);
    let (mut form, mut stride, mut stall, mut coming) = (Form::Results, 1, 0, 0_usize);
    let (mut outstanding, mut held) = (0_u64, [false; 8]);
    let (mut quiet, mut left) = (0, 0);
    for cycle in 0..60_000 {
        let rst_ni = cycle != 0 && !random.once(5000);
        let outputs = model.outputs();
        let mut i =
            vector_writer::Inputs { y_i: std::array::from_fn(|_| random.float()), ..Default::default() };
        i.direct_data_i = std::array::from_fn(|_| Wide(random.bits() & 0xFFFF_FFFF));
        i.place_i.valid = random.once(8);
        if outputs.idle_o && left == 0 {
            quiet += 1;
            if quiet > 6 {
                form = [Form::Results, Form::Int8, Form::Fp4][usize::from(random.small(3))];
                (stride, stall) = (random.small(8) + 1, random.below(3) * 100);
                (left, i.start_i) = (1 + random.below(300), true);
            }
        } else {
            quiet = 0;
        }
        // All places are even: any of them may be one of results.
        i.place_i = VectorPlace {
            unit: Uint(random.small(8)),
            base: Wide(random.bits() & ((1 << 35) - 1) & !1),
            ..i.place_i
        };
        i.place_scales_i = Wide(random.bits() & ((1 << 40) - 1));
        coming = if outputs.ready_o { 0 } else { coming + 1 };
        if left > 0 && !i.start_i && coming <= COMING && random.below(256) >= stall / 4 {
            if form == Form::Results && random.once(4) {
                (i.direct_valid_i, i.direct_line_i) = (true, Wide(random.bits() & ((1 << 34) - 1)));
                left -= 1;
            } else {
                let hold = random.small(8);
                let group = random.small(1 << 16) & !1 | u16::from(held[usize::from(hold)] && random.once(2));
                i.word_i = VectorWord {
                    valid: true,
                    hi: random.once(2),
                    unit: Uint(random.small(8)),
                    hold: Uint(hold),
                    group: Uint(group),
                };
                held[usize::from(hold)] |= form != Form::Results && group % 2 == 0 && rst_ni;
                left -= 1;
            }
        }
        (i.form_i, i.stride_i) = (form, Uint(stride));
        i.write_request_ready_i = random.below(256) >= stall;
        i.write_ready_i = random.below(256) >= stall;
        i.write_done_i = WriteDone {
            valid: outstanding > 0 && (random.once(2) || stall == 0) && cycle / 1000 % 4 != 0,
            error: random.once(50),
        };
        outstanding += u64::from(outputs.write_request_o.valid && i.write_request_ready_i);
        outstanding -= u64::from(i.write_done_i.valid);
        run.step(rst_ni, &mut i).unwrap();
        if rst_ni {
            model.clock(&i);
        } else {
            model.reset();
            (outstanding, left, quiet) = (0, 0, 0);
        }
    }
    let totals = run.finish().unwrap();
    assert_eq!(totals.cycles, 60_000);
}
