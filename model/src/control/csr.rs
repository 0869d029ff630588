// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/csr.sv`.

use super::types::{
    AxiLiteAddress, AxiLiteRead, AxiLiteResponse, AxiLiteWrite, COMMAND_INDEX_BITS, COUNTER_SELECT_BITS,
    CSR_BOUNDS_BASE_HI, CSR_BOUNDS_BASE_LO, CSR_BOUNDS_LIMIT_HI, CSR_BOUNDS_LIMIT_LO, CSR_COMMAND_BASE_HI,
    CSR_COMMAND_BASE_LO, CSR_COMPLETION_BASE_HI, CSR_COMPLETION_BASE_LO, CSR_CONSUMER, CSR_CONTROL,
    CSR_COUNTER_HI, CSR_COUNTER_LO, CSR_COUNTER_SELECT, CSR_DOORBELL, CSR_ERROR_CODE, CSR_ERROR_INDEX,
    CSR_GEOMETRY, CSR_ID, CSR_INTERRUPT_ENABLE, CSR_INTERRUPT_STATUS, CSR_RING_SIZE_LOG2, CSR_STATUS,
    CSR_VERSION, CoreError, CoreGeometry, Doorbell, Interrupts,
};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES};

/// SLVERR.
const SLAVE_ERROR: Uint<2> = Uint(2);
/// `TAND`.
const ID: u64 = 0x444e_4154;
const VERSION: u64 = 2;
/// Bits of an address that a base does not have.
const BASE_SHIFT: u32 = AXI_BYTES.trailing_zeros();
/// Bits of a base.
const BASE_BITS: u32 = AXI_ADDRESS_BITS - BASE_SHIFT;

/// Control and status registers.
#[derive(Clone, Debug, Default)]
pub struct Csr {
    aw_q: AxiLiteAddress,
    w_q: AxiLiteWrite,
    b_q: AxiLiteResponse,
    r_q: AxiLiteRead,
    enable_q: bool,
    pinned_q: bool,
    soft_reset_q: bool,
    command_base_q: Wide<BASE_BITS>,
    ring_size_log2_q: Uint<4>,
    completion_base_q: Wide<BASE_BITS>,
    bounds_base_q: Wide<BASE_BITS>,
    bounds_limit_q: Wide<BASE_BITS>,
    doorbell_q: Doorbell,
    status_q: Interrupts,
    interrupt_enable_q: Interrupts,
    error_q: CoreError,
    counter_select_q: Uint<COUNTER_SELECT_BITS>,
    cycle_q: Wide<64>,
    counter_high_q: Wide<32>,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Address of a write.
    pub aw_i: AxiLiteAddress,
    /// Data of a write.
    pub w_i: AxiLiteWrite,
    /// The response is taken.
    pub b_ready_i: bool,
    /// Address of a read.
    pub ar_i: AxiLiteAddress,
    /// The data are taken.
    pub r_ready_i: bool,
    /// What the host may know of the core; constant.
    pub geometry_i: CoreGeometry,
    /// The core has nothing to do.
    pub idle_i: bool,
    /// Commands that the core has taken since reset.
    pub consumer_i: Uint<COMMAND_INDEX_BITS>,
    /// A completion was written.
    pub completion_i: bool,
    /// Something went wrong.
    pub error_i: CoreError,
    /// The counter that `counter_select_o` names.
    pub counter_i: Wide<64>,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// There is room for an address of a write.
    pub aw_ready_o: bool,
    /// There is room for data of a write.
    pub w_ready_o: bool,
    /// Response to a write.
    pub b_o: AxiLiteResponse,
    /// There is room for an address of a read.
    pub ar_ready_o: bool,
    /// Response to a read.
    pub r_o: AxiLiteRead,
    /// Level: something enabled has happened and was not cleared.
    pub interrupt_o: bool,
    /// The core takes commands.
    pub enable_o: bool,
    /// The lower half of the banks is not used for streaming.
    pub pinned_o: bool,
    /// The core forgets what it does; for one cycle.
    pub soft_reset_o: bool,
    /// Where the command ring lies.
    pub command_base_o: Wide<AXI_ADDRESS_BITS>,
    /// log2 of its commands.
    pub ring_size_log2_o: Uint<4>,
    /// Where completions are written.
    pub completion_base_o: Wide<AXI_ADDRESS_BITS>,
    /// Where commands may write.
    pub bounds_base_o: Wide<AXI_ADDRESS_BITS>,
    /// The first address behind.
    pub bounds_limit_o: Wide<AXI_ADDRESS_BITS>,
    /// How far the host is.
    pub doorbell_o: Doorbell,
    /// Which counter is wanted.
    pub counter_select_o: Uint<COUNTER_SELECT_BITS>,
}

/// What a write does beside setting registers.
#[derive(Clone, Copy, Debug, Default)]
struct Effects {
    refused: bool,
    cleared: Interrupts,
    rung: Option<Uint<COMMAND_INDEX_BITS>>,
}

/// A base with the low or the high half of its address replaced.
fn based(base: Wide<BASE_BITS>, high: bool, merge: impl Fn(u64) -> u64) -> Wide<BASE_BITS> {
    let address = base.0 << BASE_SHIFT;
    let (low_half, high_half) = (address & 0xffff_ffff, address >> 32);
    let new = if high { merge(high_half) << 32 | low_half } else { high_half << 32 | merge(low_half) };
    Wide::from_bits(new >> BASE_SHIFT)
}

impl Csr {
    /// A write whose address and data are there.
    fn write(&mut self) -> Effects {
        let byte = |i: u32| if self.w_q.strobe.0 >> i & 1 == 1 { 0xff << (8 * i) } else { 0 };
        let mask: u64 = (0..4).map(byte).sum();
        let data = self.w_q.data.0 & mask;
        let merge = |old: u64| old & !mask | data;
        let mut effects = Effects::default();
        match self.aw_q.address.0 {
            CSR_CONTROL => {
                self.enable_q = bool::from_bits(merge(self.enable_q.to_bits()));
                self.pinned_q = bool::from_bits(merge(self.pinned_q.to_bits() << 2) >> 2);
                self.soft_reset_q = data >> 1 & 1 == 1;
            }
            CSR_COMMAND_BASE_LO => self.command_base_q = based(self.command_base_q, false, merge),
            CSR_COMMAND_BASE_HI => self.command_base_q = based(self.command_base_q, true, merge),
            CSR_RING_SIZE_LOG2 => {
                self.ring_size_log2_q = Uint::from_bits(merge(self.ring_size_log2_q.to_bits()));
            }
            CSR_DOORBELL if mask & 0xffff != 0 => {
                effects.rung = Some(Uint::from_bits(merge(self.doorbell_q.producer.to_bits())));
            }
            CSR_DOORBELL => {}
            CSR_COMPLETION_BASE_LO => self.completion_base_q = based(self.completion_base_q, false, merge),
            CSR_COMPLETION_BASE_HI => self.completion_base_q = based(self.completion_base_q, true, merge),
            CSR_BOUNDS_BASE_LO => self.bounds_base_q = based(self.bounds_base_q, false, merge),
            CSR_BOUNDS_BASE_HI => self.bounds_base_q = based(self.bounds_base_q, true, merge),
            CSR_BOUNDS_LIMIT_LO => self.bounds_limit_q = based(self.bounds_limit_q, false, merge),
            CSR_BOUNDS_LIMIT_HI => self.bounds_limit_q = based(self.bounds_limit_q, true, merge),
            CSR_INTERRUPT_STATUS => effects.cleared = Interrupts::from_bits(data),
            CSR_INTERRUPT_ENABLE => {
                self.interrupt_enable_q = Interrupts::from_bits(merge(self.interrupt_enable_q.to_bits()));
            }
            CSR_COUNTER_SELECT => {
                self.counter_select_q = Uint::from_bits(merge(self.counter_select_q.to_bits()));
            }
            _ => effects.refused = true,
        }
        effects
    }

    /// A register as a read finds it, and the high half of the counter if it is to be kept.
    fn read(&self, i: &Inputs) -> (AxiLiteRead, Option<Wide<32>>) {
        let out = self.outputs();
        let low = |bits: u64| bits & 0xffff_ffff;
        let counter = if self.counter_select_q.0 == 0 { self.cycle_q.0 } else { i.counter_i.0 };
        let busy = !i.idle_i || self.doorbell_q.producer != i.consumer_i;
        let data = match i.ar_i.address.0 {
            CSR_ID => Some(ID),
            CSR_VERSION => Some(VERSION),
            CSR_GEOMETRY => Some(i.geometry_i.to_bits()),
            CSR_CONTROL => Some(self.pinned_q.to_bits() << 2 | self.enable_q.to_bits()),
            CSR_STATUS => Some(self.error_q.valid.to_bits() << 2 | busy.to_bits() << 1 | i.idle_i.to_bits()),
            CSR_COMMAND_BASE_LO => Some(low(out.command_base_o.0)),
            CSR_COMMAND_BASE_HI => Some(out.command_base_o.0 >> 32),
            CSR_RING_SIZE_LOG2 => Some(self.ring_size_log2_q.to_bits()),
            CSR_DOORBELL => Some(self.doorbell_q.producer.to_bits()),
            CSR_CONSUMER => Some(i.consumer_i.to_bits()),
            CSR_COMPLETION_BASE_LO => Some(low(out.completion_base_o.0)),
            CSR_COMPLETION_BASE_HI => Some(out.completion_base_o.0 >> 32),
            CSR_BOUNDS_BASE_LO => Some(low(out.bounds_base_o.0)),
            CSR_BOUNDS_BASE_HI => Some(out.bounds_base_o.0 >> 32),
            CSR_BOUNDS_LIMIT_LO => Some(low(out.bounds_limit_o.0)),
            CSR_BOUNDS_LIMIT_HI => Some(out.bounds_limit_o.0 >> 32),
            CSR_INTERRUPT_STATUS => Some(self.status_q.to_bits()),
            CSR_INTERRUPT_ENABLE => Some(self.interrupt_enable_q.to_bits()),
            CSR_ERROR_CODE => Some(self.error_q.code.to_bits()),
            CSR_ERROR_INDEX => Some(self.error_q.index.to_bits()),
            CSR_COUNTER_SELECT => Some(self.counter_select_q.to_bits()),
            CSR_COUNTER_LO => Some(low(counter)),
            CSR_COUNTER_HI => Some(self.counter_high_q.0),
            _ => None,
        };
        let response = if data.is_some() { Uint(0) } else { SLAVE_ERROR };
        let kept = (i.ar_i.address.0 == CSR_COUNTER_LO).then_some(Wide(counter >> 32));
        (AxiLiteRead { valid: true, response, data: Wide(data.unwrap_or_default()) }, kept)
    }
}

impl Block for Csr {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            aw_ready_o: !self.aw_q.valid,
            w_ready_o: !self.w_q.valid,
            b_o: self.b_q,
            ar_ready_o: !self.r_q.valid,
            r_o: self.r_q,
            interrupt_o: self.status_q.to_bits() & self.interrupt_enable_q.to_bits() != 0,
            enable_o: self.enable_q,
            pinned_o: self.pinned_q,
            soft_reset_o: self.soft_reset_q,
            command_base_o: Wide(self.command_base_q.0 << BASE_SHIFT),
            ring_size_log2_o: self.ring_size_log2_q,
            completion_base_o: Wide(self.completion_base_q.0 << BASE_SHIFT),
            bounds_base_o: Wide(self.bounds_base_q.0 << BASE_SHIFT),
            bounds_limit_o: Wide(self.bounds_limit_q.0 << BASE_SHIFT),
            doorbell_o: self.doorbell_q,
            counter_select_o: self.counter_select_q,
        }
    }

    fn clock(&mut self, i: &Inputs) {
        let read = (i.ar_i.valid && !self.r_q.valid).then(|| self.read(i));
        let soft_reset = std::mem::take(&mut self.soft_reset_q);
        let ring_size = 1 << self.ring_size_log2_q.0;

        let writing = self.aw_q.valid && self.w_q.valid && !self.b_q.valid;
        let effects = if writing { self.write() } else { Effects::default() };
        if !self.aw_q.valid {
            self.aw_q = i.aw_i;
        }
        if !self.w_q.valid {
            self.w_q = i.w_i;
        }
        if self.b_q.valid && i.b_ready_i {
            self.b_q = AxiLiteResponse::default();
        }
        if writing {
            self.aw_q = AxiLiteAddress::default();
            self.w_q = AxiLiteWrite::default();
            let response = if effects.refused { SLAVE_ERROR } else { Uint(0) };
            self.b_q = AxiLiteResponse { valid: true, response };
        }

        self.doorbell_q.valid = false;
        let mut overflow = false;
        if let Some(producer) = effects.rung {
            let waiting = low_u16(u64::from(producer.0.wrapping_sub(i.consumer_i.0)));
            overflow = u32::from(waiting) > ring_size;
            if !overflow {
                self.doorbell_q = Doorbell { valid: true, producer };
            }
        }
        if effects.cleared.error {
            self.error_q = CoreError::default();
        }
        if i.error_i.valid && !self.error_q.valid {
            self.error_q = i.error_i;
        }
        let kept = |status: bool, cleared: bool, happens: bool| status && !cleared || happens;
        self.status_q = Interrupts {
            doorbell_overflow: kept(
                self.status_q.doorbell_overflow,
                effects.cleared.doorbell_overflow,
                overflow,
            ),
            error: kept(self.status_q.error, effects.cleared.error, i.error_i.valid),
            completion: kept(self.status_q.completion, effects.cleared.completion, i.completion_i),
        };
        if soft_reset {
            self.doorbell_q = Doorbell::default();
            self.status_q = Interrupts::default();
            self.error_q = CoreError::default();
        }

        self.cycle_q = Wide(self.cycle_q.0.wrapping_add(1));
        if self.r_q.valid && i.r_ready_i {
            self.r_q = AxiLiteRead::default();
        }
        if let Some((answer, kept)) = read {
            self.r_q = answer;
            self.counter_high_q = kept.unwrap_or(self.counter_high_q);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for Csr {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("aw_q", &mut self.aw_q);
        v.bits("w_q", &mut self.w_q);
        v.bits("b_q", &mut self.b_q);
        v.bits("r_q", &mut self.r_q);
        v.bits("enable_q", &mut self.enable_q);
        v.bits("pinned_q", &mut self.pinned_q);
        v.bits("soft_reset_q", &mut self.soft_reset_q);
        v.bits("command_base_q", &mut self.command_base_q);
        v.bits("ring_size_log2_q", &mut self.ring_size_log2_q);
        v.bits("completion_base_q", &mut self.completion_base_q);
        v.bits("bounds_base_q", &mut self.bounds_base_q);
        v.bits("bounds_limit_q", &mut self.bounds_limit_q);
        v.bits("doorbell_q", &mut self.doorbell_q);
        v.bits("status_q", &mut self.status_q);
        v.bits("interrupt_enable_q", &mut self.interrupt_enable_q);
        v.bits("error_q", &mut self.error_q);
        v.bits("counter_select_q", &mut self.counter_select_q);
        v.bits("cycle_q", &mut self.cycle_q);
        v.bits("counter_high_q", &mut self.counter_high_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("aw_i", &mut self.aw_i);
        v.bits("w_i", &mut self.w_i);
        v.bits("b_ready_i", &mut self.b_ready_i);
        v.bits("ar_i", &mut self.ar_i);
        v.bits("r_ready_i", &mut self.r_ready_i);
        v.bits("geometry_i", &mut self.geometry_i);
        v.bits("idle_i", &mut self.idle_i);
        v.bits("consumer_i", &mut self.consumer_i);
        v.bits("completion_i", &mut self.completion_i);
        v.bits("error_i", &mut self.error_i);
        v.bits("counter_i", &mut self.counter_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("aw_ready_o", &mut self.aw_ready_o);
        v.bits("w_ready_o", &mut self.w_ready_o);
        v.bits("b_o", &mut self.b_o);
        v.bits("ar_ready_o", &mut self.ar_ready_o);
        v.bits("r_o", &mut self.r_o);
        v.bits("interrupt_o", &mut self.interrupt_o);
        v.bits("enable_o", &mut self.enable_o);
        v.bits("pinned_o", &mut self.pinned_o);
        v.bits("soft_reset_o", &mut self.soft_reset_o);
        v.bits("command_base_o", &mut self.command_base_o);
        v.bits("ring_size_log2_o", &mut self.ring_size_log2_o);
        v.bits("completion_base_o", &mut self.completion_base_o);
        v.bits("bounds_base_o", &mut self.bounds_base_o);
        v.bits("bounds_limit_o", &mut self.bounds_limit_o);
        v.bits("doorbell_o", &mut self.doorbell_o);
        v.bits("counter_select_o", &mut self.counter_select_o);
    }
}
