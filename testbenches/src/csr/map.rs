// SPDX-License-Identifier: Apache-2.0
//! The registers as the description has them: a map of values, without any clock.

use std::collections::BTreeMap;

use tandem_model::control::csr::Inputs;
use tandem_model::control::types::{
    CSR_CONSUMER, CSR_COUNTER_HI, CSR_COUNTER_LO, CSR_COUNTER_SELECT, CSR_DOORBELL, CSR_ERROR_CODE,
    CSR_ERROR_INDEX, CSR_GEOMETRY, CSR_INTERRUPT_ENABLE, CSR_INTERRUPT_STATUS, CSR_RING_SIZE_LOG2,
    CSR_STATUS,
};

use super::description::{Access, Description};

/// Bit of INTERRUPT_STATUS.
pub const COMPLETION: u32 = 1;
/// Bit of INTERRUPT_STATUS.
pub const ERROR: u32 = 2;
/// Bit of INTERRUPT_STATUS.
pub const OVERFLOW: u32 = 4;

/// A write of the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Write {
    /// Where.
    pub address: u16,
    /// Which bytes.
    pub strobe: u16,
    /// What.
    pub data: u32,
}

/// What a write did, apart from the values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The response is SLVERR.
    pub refused: bool,
    /// Bits of pulse fields.
    pub pulses: u32,
    /// A doorbell was rung, and taken.
    pub rung: bool,
    /// Bits of INTERRUPT_STATUS that the host cleared.
    pub cleared: u32,
}

/// Values of the registers.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    description: &'a Description,
    values: BTreeMap<u16, u32>,
}

impl<'a> Map<'a> {
    /// The registers after reset.
    pub fn new(description: &'a Description) -> Self {
        let values = description.registers.iter().map(|r| (r.offset, r.reset.unwrap_or(0))).collect();
        Self { description, values }
    }

    /// A register's value.
    pub fn get(&self, offset: u16) -> u32 {
        self.values[&offset]
    }

    fn set(&mut self, offset: u16, value: u32) {
        self.values.insert(offset, value);
    }

    /// What a host reads; `None` for SLVERR. `cycles` is the number of clocks since reset.
    pub fn read(&mut self, address: u16, i: &Inputs, cycles: u64) -> Option<u32> {
        self.description.at(address)?;
        let idle = i.idle_i;
        let busy = !idle || self.get(CSR_DOORBELL) != u32::from(i.consumer_i.0);
        let geometry = &i.geometry_i;
        let rows_segments = u32::from(geometry.rows.0) + (u32::from(geometry.segments.0) << 8);
        Some(match address {
            CSR_GEOMETRY => rows_segments + (u32::from(geometry.bank_words.0) << 16),
            CSR_STATUS => {
                let error = self.get(CSR_INTERRUPT_STATUS) & ERROR != 0;
                u32::from(idle) + 2 * u32::from(busy) + 4 * u32::from(error)
            }
            CSR_CONSUMER => u32::from(i.consumer_i.0),
            CSR_COUNTER_LO => {
                let counter = if self.get(CSR_COUNTER_SELECT) == 0 { cycles } else { i.counter_i.0 };
                let [low, high] =
                    [counter % (1 << 32), counter >> 32].map(|half| u32::try_from(half).unwrap_or(0));
                self.set(CSR_COUNTER_HI, high);
                low
            }
            _ => self.get(address),
        })
    }

    /// A host's write, while the core has taken `consumer` commands.
    pub fn write(&mut self, write: Write, consumer: u16) -> Written {
        let Write { address, strobe, data } = write;
        let mut done = Written::default();
        let Some(register) = self.description.at(address).filter(|r| r.access != Access::ReadOnly) else {
            return Written { refused: true, ..done };
        };
        let bytes = (0..4).filter(|byte| strobe >> byte & 1 == 1);
        let strobed = bytes.fold(0, |mask, byte| mask | 0xff << (8 * byte));
        let old = self.get(address);
        let mask = strobed & register.kept();
        let new = old & !mask | data & mask;
        done.pulses = data & strobed & register.pulses();
        match (address, register.access) {
            (_, Access::WriteOneToClear) => {
                done.cleared = data & mask;
                self.set(address, old & !done.cleared);
            }
            (CSR_DOORBELL, _) => {
                let waiting = (new + 65536 - u32::from(consumer)) % 65536;
                let fits = waiting <= 1 << self.get(CSR_RING_SIZE_LOG2);
                done.rung = mask != 0 && fits;
                if done.rung {
                    self.set(address, new);
                } else if mask != 0 {
                    self.raise(OVERFLOW);
                }
            }
            _ => self.set(address, new),
        }
        if done.cleared & ERROR != 0 {
            self.set(CSR_ERROR_CODE, 0);
            self.set(CSR_ERROR_INDEX, 0);
        }
        done
    }

    /// Something has happened.
    pub fn raise(&mut self, interrupts: u32) {
        self.set(CSR_INTERRUPT_STATUS, self.get(CSR_INTERRUPT_STATUS) | interrupts);
    }

    /// An error of the core.
    pub fn error(&mut self, code: u16, index: u16) {
        if self.get(CSR_INTERRUPT_STATUS) & ERROR == 0 {
            self.set(CSR_ERROR_CODE, code.into());
            self.set(CSR_ERROR_INDEX, index.into());
        }
        self.raise(ERROR);
    }

    /// Nothing is in flight any more.
    pub fn soft_reset(&mut self) {
        for offset in [CSR_DOORBELL, CSR_INTERRUPT_STATUS, CSR_ERROR_CODE, CSR_ERROR_INDEX] {
            self.set(offset, 0);
        }
    }

    /// The interrupt's level.
    pub fn interrupt(&self) -> bool {
        self.get(CSR_INTERRUPT_STATUS) & self.get(CSR_INTERRUPT_ENABLE) != 0
    }
}
