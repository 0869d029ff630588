// SPDX-License-Identifier: Apache-2.0
//! A packed model on a core: passes, with memory held against the untimed decoder.

use std::collections::BTreeMap;

use tandem_host::import::Packed;
use tandem_host::lower::{Plan, ids_word};
use tandem_model::control::command::{Command, STATUSES};
use tandem_model::reference::decoder::Decoder;

use super::follow::Follower;
use super::write::Write;
use crate::bench::WrongAnswer;
use crate::core::{CorePort, HostPlan, MemoryKind, Session};
use crate::dut::DutError;

/// Tokens of the longest session of a random model.
pub const CONTEXT: usize = 64;
/// log2 of the commands of the ring.
const RING_LOG2: u8 = 5;
/// Cycles without a completion after which a core hangs.
const PATIENCE: u64 = 200_000;

/// Changes a command before the core gets it, but not what is expected of it.
pub type Tamper<'a> = dyn FnMut(&mut Command) + 'a;

/// A session on a core, and the same on the untimed decoder.
pub struct Runner<'a> {
    session: Session<'a>,
    plan: &'a Plan,
    follower: Follower<'a>,
    tamper: Option<Box<Tamper<'a>>>,
}

impl<'a> Runner<'a> {
    /// Puts the model into memory and resets the core.
    ///
    /// # Errors
    /// When the core, or its port, breaks a rule.
    pub fn open(
        core: &'a mut dyn CorePort,
        (kind, seed, stalls): (MemoryKind, u64, Option<u64>),
        packed: &Packed,
        plan: &'a Plan,
        decoder: &'a Decoder,
    ) -> Result<Self, DutError> {
        let mut memory = kind.make(seed);
        let contents = memory.contents_mut();
        contents.store(0, packed.image());
        let zeroed = plan.zeroed();
        let bytes = usize::try_from(zeroed.end - zeroed.start).expect("a small model");
        contents.store(zeroed.start, &vec![0; bytes]);
        let rings = zeroed.end;
        let host = HostPlan {
            commands: Vec::new(),
            bounds: zeroed,
            pinned: false,
            rings,
            ring_log2: RING_LOG2,
            stalls,
            patience: PATIENCE,
        };
        let session = Session::open(core, memory, host)?;
        Ok(Self { session, plan, follower: Follower::new(plan, decoder), tamper: None })
    }

    /// Has commands changed before they are run.
    pub fn tamper(&mut self, how: Box<Tamper<'a>>) {
        self.tamper = Some(how);
    }

    /// Tokens so far.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.follower.tokens()
    }

    /// Cycles so far.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.session.cycles()
    }

    /// Forgets all tokens but the first ones.
    pub fn keep(&mut self, tokens: usize) {
        self.follower.keep(tokens);
    }

    /// Runs a step's commands one by one, and after each compares what it wrote. Gives the number of comparisons.
    ///
    /// # Errors
    /// What differs, by the command's label; what the core does wrong.
    pub fn one_by_one(&mut self, ids: &[u32], logits: bool) -> Result<usize, DutError> {
        let step = self.plan.step(self.follower.tokens(), ids.len(), logits)?;
        self.session.store(self.plan.ids(), &ids_word(ids));
        let followed = self.follower.step(ids, logits);
        let mut compared = 0;
        for (command, label) in step.commands.iter().zip(&step.labels) {
            let mut run = *command;
            if let Some(tamper) = &mut self.tamper {
                tamper(&mut run);
            }
            let batch = self.session.run(&[run.words()], &mut |_| Ok(()))?;
            good(batch.completions[0].status, label)?;
            if let Some(write) = followed.written(command, label) {
                write.check(&label.to_string(), &self.session.load(write.address, write.bytes.len()))?;
                compared += 1;
            }
        }
        Ok(compared)
    }

    /// Runs a step's commands as a host does, all at once, and compares all that is left of them in memory in the end.
    ///
    /// # Errors
    /// As [`Runner::one_by_one`].
    pub fn at_once(&mut self, ids: &[u32], logits: bool) -> Result<(), DutError> {
        let step = self.plan.step(self.follower.tokens(), ids.len(), logits)?;
        self.session.store(self.plan.ids(), &ids_word(ids));
        let followed = self.follower.step(ids, logits);
        let mut left: BTreeMap<u64, (Write, String)> = BTreeMap::new();
        for (command, label) in step.commands.iter().zip(&step.labels) {
            let Some(write) = followed.written(command, label) else { continue };
            let label = label.to_string();
            if let Some((before, last)) = left.get_mut(&write.address) {
                before.then(write);
                *last = label;
            } else {
                left.insert(write.address, (write, label));
            }
        }
        let mut commands = step.commands.clone();
        if let Some(tamper) = &mut self.tamper {
            commands.iter_mut().for_each(tamper);
        }
        let words: Vec<_> = commands.iter().map(Command::words).collect();
        let batch = self.session.run(&words, &mut |_| Ok(()))?;
        for (completion, label) in batch.completions.iter().zip(&step.labels) {
            good(completion.status, label)?;
        }
        for (write, label) in left.into_values() {
            write.check(&label, &self.session.load(write.address, write.bytes.len()))?;
        }
        Ok(())
    }

    /// Checks what is left to check: interrupts, errors, the port's rules.
    ///
    /// # Errors
    /// When one of them is not as it must be.
    pub fn close(self) -> Result<(), DutError> {
        self.session.close().map(drop)
    }
}

fn good(status: u8, what: &dyn std::fmt::Display) -> Result<(), WrongAnswer> {
    if status == 0 {
        return Ok(());
    }
    let name = STATUSES.get(usize::from(status)).map_or("an unknown status", |(name, _)| name);
    Err(WrongAnswer(format!("{what} ended with {name}")))
}
