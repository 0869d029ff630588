// SPDX-License-Identifier: Apache-2.0
//! The lanes of the vector unit and its sums in lockstep: every register, with bubbles, idle times and resets. The modules are
//! verilated here; they are no devices of their own.

use std::path::{Path, PathBuf};

use tandem::lockstep::{Lockstep, Totals};
use tandem_model::block::{Block, Uint, Wide, low_u16};
use tandem_model::numerics::Float36;
use tandem_model::vector::row_sums::{self, RowSums};
use tandem_model::vector::types::{LaneOp, VectorWord};
use tandem_model::vector::vector_lanes::{self, VectorLanes};
use tandem_testbenches::random::split_mix;
use tandem_verilate::Spec;

/// Longer than anything is in the lanes, or in the sums.
const DRAINED: u64 = 24;
/// Longer than a reduction.
const REDUCED: u64 = 110;

/// Random inputs that keep the contract of a block.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    fn binary32(&mut self) -> Wide<32> {
        let any = self.bits();
        Wide(match self.below(16) {
            0 => 0,
            1 => any & 0x8000_0000,
            2 => any & 0xFFFF_FFFF,
            3 => any & 0x807F_FFFF,
            4 => any & 0x807F_FFFF | 254 << 23,
            // Few bits: ties and cancellation.
            5 | 6 => any & 0x8060_0000 | (124 + (any >> 40 & 7)) << 23,
            _ => any & 0x807F_FFFF | (119 + (any >> 40 & 15)) << 23,
        })
    }

    fn word(&mut self, valid: bool) -> VectorWord {
        let any = low_u16(self.bits());
        VectorWord {
            valid,
            hi: any & 1 == 1,
            unit: Uint(any >> 1 & 7),
            hold: Uint(any >> 4 & 7),
            group: Uint(low_u16(self.bits())),
        }
    }

    fn float(&mut self) -> Float36 {
        if self.below(16) == 0 {
            return Float36::canonical(self.bits());
        }
        Float36::widen(u32::try_from(self.binary32().0).expect("32 bits"))
    }
}

trait Stimulus<B: Block> {
    fn reset(&mut self);
    fn inputs(&mut self, random: &mut Random) -> B::Inputs;
}

/// Runs of words of one operation with bubbles, then a rest: short, or long enough for the model to sleep.
#[derive(Default)]
struct Lanes {
    op: LaneOp,
    left: u64,
    rest: u64,
    hi: bool,
}

impl Stimulus<VectorLanes> for Lanes {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn inputs(&mut self, random: &mut Random) -> vector_lanes::Inputs {
        if self.left == 0 && self.rest == 0 {
            self.op = LaneOp::ALL[usize::from(low_u16(random.below(5)))];
            let longest = if random.below(4) == 0 { 100 } else { 12 };
            self.left = 1 + random.below(longest);
            self.rest = DRAINED + random.below(40);
        }
        let mut valid = false;
        if self.left > 0 {
            valid = self.hi || random.below(4) != 0;
            self.left -= 1;
        } else if self.hi {
            valid = true;
        } else {
            self.rest -= 1;
        }
        let mut word = random.word(valid);
        if self.op == LaneOp::Rotate && valid {
            word.hi = self.hi;
            self.hi = !self.hi;
        }
        vector_lanes::Inputs {
            // Without a word it may be anything.
            op_i: if valid { self.op } else { LaneOp::ALL[usize::from(low_u16(random.below(8)))] },
            word_i: word,
            a_i: std::array::from_fn(|_| random.binary32()),
            b_i: std::array::from_fn(|_| random.binary32()),
            cos_i: std::array::from_fn(|_| random.binary32()),
            sin_i: std::array::from_fn(|_| random.binary32()),
            scale_i: random.float(),
        }
    }
}

/// Words of squares, some time later a reduction, in between sometimes a clear.
#[derive(Default)]
struct Sums {
    left: u64,
    wait: u64,
    reduce: bool,
    /// The addresses of the last words.
    recent: [Option<u16>; 4],
}

impl Stimulus<RowSums> for Sums {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn inputs(&mut self, random: &mut Random) -> row_sums::Inputs {
        let mut word = random.word(false);
        let (mut clear, mut reduce) = (false, false);
        let address = word.unit.0 << 3 | word.group.0 & 7;
        if self.left > 0 {
            word.valid = !self.recent.contains(&Some(address)) && random.below(4) != 0;
            self.left -= 1;
            if self.left == 0 {
                self.reduce = random.below(8) != 0;
                self.wait = random.below(8);
            }
        } else if self.wait > 0 {
            self.wait -= 1;
        } else if self.reduce {
            (reduce, self.reduce) = (true, false);
            self.wait = REDUCED + random.below(50);
        } else {
            clear = self.recent.iter().all(Option::is_none) && random.below(4) != 0;
            self.left = random.below(90);
        }
        self.recent.rotate_right(1);
        self.recent[0] = word.valid.then_some(address);
        row_sums::Inputs {
            clear_i: clear,
            word_i: word,
            square_i: std::array::from_fn(|_| random.float()),
            reduce_i: reduce,
            units_i: if reduce {
                Uint(1 + low_u16(random.below(8)))
            } else {
                Uint(low_u16(random.below(16)))
            },
            mean_i: random.binary32(),
            eps_i: random.binary32(),
        }
    }
}

/// Lockstep of a module of `rtl/vector` with resets, `change`d before it is built.
fn run<B: Block + Default + Send + 'static, S: Stimulus<B> + Default>(
    top: &str,
    change: Option<(&str, &str, &str)>,
    cycles: u64,
) -> tandem::Result<Totals>
where
    B::Inputs: Send,
{
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut model = B::default();
    let name = change.map_or(top.to_owned(), |_| format!("{top}_changed"));
    let mut spec = Spec::of_model(&name, top, project, &mut model);
    spec.include_dirs.extend(["common", "array", "vector"].map(|group| project.join("rtl").join(group)));
    spec.no_inline = vec!["vector_lane".to_owned(), "float_function".to_owned()];
    if let Some((module, from, to)) = change {
        spec.sources.push(changed(project, module, from, to));
    }
    if change.is_none_or(|(module, ..)| module != top) {
        spec.sources.push(project.join(format!("rtl/vector/{top}.sv")));
    }
    let mut random = Random(7);
    let mut stimulus = S::default();
    let mut lockstep = Lockstep::verilated(&spec, project, model, 3)?;
    for cycle in 0..cycles {
        let rst_ni = cycle != 0 && cycle % 1733 != 1700;
        if !rst_ni {
            stimulus.reset();
        }
        let mut inputs = stimulus.inputs(&mut random);
        lockstep.step(rst_ni, &mut inputs)?;
    }
    lockstep.finish()
}

/// A module's file with a planted bug.
fn changed(project: &Path, module: &str, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(project.join(format!("rtl/vector/{module}.sv"))).expect("a module");
    assert!(text.contains(from), "the bug has no place");
    let folder = project.join("target/vector-lanes");
    std::fs::create_dir_all(&folder).expect("a folder below target");
    let path = folder.join(format!("{module}.sv"));
    std::fs::write(&path, text.replace(from, to)).expect("a file below target");
    path
}

#[test]
fn lanes_equal_their_model() {
    let totals = run::<VectorLanes, Lanes>("vector_lanes", None, 20_000).unwrap();
    assert_eq!(totals.cycles, 20_000);
}

#[test]
fn sums_equal_their_model() {
    let totals = run::<RowSums, Sums>("row_sums", None, 20_000).unwrap();
    assert_eq!(totals.cycles, 20_000);
}

#[test]
fn wrong_sign_of_a_rotation_is_found() {
    let bug = (
        "vector_lane",
        "hi_q[Products-1] ? fourth : negated(fourth)",
        "hi_q[Products-1] ? negated(fourth) : fourth",
    );
    let error = run::<VectorLanes, Lanes>("vector_lanes", Some(bug), 20_000).unwrap_err();
    assert!(error.to_string().contains("u_lane.u_add.ordered_q"), "{error}");
}

#[test]
fn sums_that_survive_a_clear_are_found() {
    let bug = ("row_sums", "if (clear_i) present_d = '0;", "if (clear_i) present_d = present_q & 64'hff;");
    let error = run::<RowSums, Sums>("row_sums", Some(bug), 20_000).unwrap_err();
    assert!(error.to_string().contains("present_q"), "{error}");
}
