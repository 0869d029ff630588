// SPDX-License-Identifier: Apache-2.0
// What the host sees of the core: an AXI4-Lite slave with the registers of registers.json (docs/csr.md).
//
// A read is answered in the cycle behind its address, a write two cycles behind the later of its address and its data;
// one of each every two cycles. Reads and writes do not wait for each other.
`include "tandem_assert.svh"

module csr
  import tandem_pkg::*;
(
  input  logic                         clk_i,
  input  logic                         rst_ni,
  // The host.
  input  axi_lite_address_t            aw_i,
  output logic                         aw_ready_o,
  input  axi_lite_write_t              w_i,
  output logic                         w_ready_o,
  output axi_lite_response_t           b_o,
  input  logic                         b_ready_i,
  input  axi_lite_address_t            ar_i,
  output logic                         ar_ready_o,
  output axi_lite_read_t               r_o,
  input  logic                         r_ready_i,
  output logic                         interrupt_o,
  // The core.
  input  core_geometry_t               geometry_i,       // constant
  input  logic                         idle_i,
  input  logic [CommandIndexBits-1:0]  consumer_i,       // commands taken since reset
  input  logic                         completion_i,     // a completion was written
  input  core_error_t                  error_i,
  input  logic [63:0]                  counter_i,        // the counter that counter_select_o names
  output logic                         enable_o,
  output logic                         pinned_o,          // the lower half of the banks is not streamed to
  output logic                         soft_reset_o,     // for one cycle
  output logic [AxiAddressBits-1:0]    command_base_o,
  output logic [3:0]                   ring_size_log2_o,
  output logic [AxiAddressBits-1:0]    completion_base_o,
  output logic [AxiAddressBits-1:0]    bounds_base_o,     // where commands may write
  output logic [AxiAddressBits-1:0]    bounds_limit_o,    // the first address behind
  output doorbell_t                    doorbell_o,
  output logic [CounterSelectBits-1:0] counter_select_o
);

  localparam logic [1:0]  SlaveError = 2'd2;
  localparam logic [31:0] Id         = 32'h444e_4154;
  localparam logic [31:0] Version    = 32'd2;
  // Bits of an address that a base does not have: both rings begin at a multiple of the port's words.
  localparam int unsigned BaseShift  = $clog2(AxiBytes);
  // Bits of an address that are in the register of its high half.
  localparam int unsigned HighBits   = AxiAddressBits - 32;

  logic                              enable_d, enable_q;
  logic                              pinned_d, pinned_q;
  logic                              soft_reset_d, soft_reset_q;
  logic [AxiAddressBits-1:BaseShift] command_base_d, command_base_q;
  logic [AxiAddressBits-1:BaseShift] completion_base_d, completion_base_q;
  logic [AxiAddressBits-1:BaseShift] bounds_base_d, bounds_base_q;
  logic [AxiAddressBits-1:BaseShift] bounds_limit_d, bounds_limit_q;
  logic                        [3:0] ring_size_log2_d, ring_size_log2_q;
  doorbell_t                         doorbell_d, doorbell_q;
  interrupts_t                       status_d, status_q;
  interrupts_t                       interrupt_enable_d, interrupt_enable_q;
  core_error_t                       error_d, error_q;  // valid: it is not cleared
  logic      [CounterSelectBits-1:0] counter_select_d, counter_select_q;
  logic                       [63:0] cycle_d, cycle_q;
  logic                       [31:0] counter_high_d, counter_high_q;

  // ---- writes: address and data wait for each other and for the last response ----
  axi_lite_address_t           aw_d, aw_q;
  axi_lite_write_t             w_d, w_q;
  axi_lite_response_t          b_d, b_q;
  logic                        write;
  logic                 [31:0] keep, data;
  logic                        refused;
  logic                        doorbell_rung, doorbell_fits;
  logic [CommandIndexBits-1:0] producer, waiting;
  interrupts_t                 cleared;

  always_comb begin
    write = aw_q.valid && w_q.valid && !b_q.valid;
    keep  = ~{{8{w_q.strobe[3]}}, {8{w_q.strobe[2]}}, {8{w_q.strobe[1]}}, {8{w_q.strobe[0]}}};
    data  = w_q.data & ~keep;

    producer      = (doorbell_q.producer & keep[CommandIndexBits-1:0]) | data[CommandIndexBits-1:0];
    waiting       = producer - consumer_i;
    doorbell_fits = 32'(waiting) <= (32'd1 << ring_size_log2_q);

    enable_d           = enable_q;
    pinned_d           = pinned_q;
    soft_reset_d       = 1'b0;
    command_base_d     = command_base_q;
    ring_size_log2_d   = ring_size_log2_q;
    completion_base_d  = completion_base_q;
    bounds_base_d      = bounds_base_q;
    bounds_limit_d     = bounds_limit_q;
    interrupt_enable_d = interrupt_enable_q;
    counter_select_d   = counter_select_q;
    cleared            = '0;
    doorbell_rung      = 1'b0;
    refused            = 1'b0;
    if (write) begin
      case (32'(aw_q.address))
        CsrControl: begin
          enable_d     = (enable_q & keep[0]) | data[0];
          soft_reset_d = data[1];
          pinned_d     = (pinned_q & keep[2]) | data[2];
        end
        CsrCommandBaseLo: begin
          command_base_d[31:BaseShift] =
              (command_base_q[31:BaseShift] & keep[31:BaseShift]) | data[31:BaseShift];
        end
        CsrCommandBaseHi: begin
          command_base_d[AxiAddressBits-1:32] =
              (command_base_q[AxiAddressBits-1:32] & keep[HighBits-1:0]) | data[HighBits-1:0];
        end
        CsrRingSizeLog2: ring_size_log2_d = (ring_size_log2_q & keep[3:0]) | data[3:0];
        CsrDoorbell: doorbell_rung = w_q.strobe[1:0] != '0;
        CsrCompletionBaseLo: begin
          completion_base_d[31:BaseShift] =
              (completion_base_q[31:BaseShift] & keep[31:BaseShift]) | data[31:BaseShift];
        end
        CsrCompletionBaseHi: begin
          completion_base_d[AxiAddressBits-1:32] =
              (completion_base_q[AxiAddressBits-1:32] & keep[HighBits-1:0]) | data[HighBits-1:0];
        end
        CsrInterruptStatus: cleared = data[2:0];
        CsrInterruptEnable: interrupt_enable_d = (interrupt_enable_q & keep[2:0]) | data[2:0];
        CsrCounterSelect: begin
          counter_select_d =
              (counter_select_q & keep[CounterSelectBits-1:0]) | data[CounterSelectBits-1:0];
        end
        CsrBoundsBaseLo: begin
          bounds_base_d[31:BaseShift] =
              (bounds_base_q[31:BaseShift] & keep[31:BaseShift]) | data[31:BaseShift];
        end
        CsrBoundsBaseHi: begin
          bounds_base_d[AxiAddressBits-1:32] =
              (bounds_base_q[AxiAddressBits-1:32] & keep[HighBits-1:0]) | data[HighBits-1:0];
        end
        CsrBoundsLimitLo: begin
          bounds_limit_d[31:BaseShift] =
              (bounds_limit_q[31:BaseShift] & keep[31:BaseShift]) | data[31:BaseShift];
        end
        CsrBoundsLimitHi: begin
          bounds_limit_d[AxiAddressBits-1:32] =
              (bounds_limit_q[AxiAddressBits-1:32] & keep[HighBits-1:0]) | data[HighBits-1:0];
        end
        default: refused = 1'b1;
      endcase
    end

    aw_d = aw_q;
    w_d  = w_q;
    b_d  = b_q;
    if (!aw_q.valid) aw_d = aw_i;
    if (!w_q.valid) w_d = w_i;
    if (b_q.valid && b_ready_i) b_d = '0;
    if (write) begin
      aw_d         = '0;
      w_d          = '0;
      b_d.valid    = 1'b1;
      b_d.response = refused ? SlaveError : '0;
    end
  end

  // ---- what happens: it wins over clearing, and a soft reset over it ----
  always_comb begin
    doorbell_d       = doorbell_q;
    doorbell_d.valid = doorbell_rung && doorbell_fits;
    if (doorbell_rung && doorbell_fits) doorbell_d.producer = producer;

    status_d = status_q & ~cleared;
    error_d  = error_q;
    if (cleared.error) error_d = '0;
    if (error_i.valid && !error_d.valid) error_d = error_i;
    status_d.completion        |= completion_i;
    status_d.error             |= error_i.valid;
    status_d.doorbell_overflow |= doorbell_rung && !doorbell_fits;

    if (soft_reset_q) begin
      doorbell_d = '0;
      status_d   = '0;
      error_d    = '0;
    end
  end

  // ---- reads ----
  axi_lite_read_t r_d, r_q;
  logic           read, busy;
  logic    [63:0] counter;

  always_comb begin
    read           = ar_i.valid && !r_q.valid;
    busy           = !idle_i || doorbell_q.producer != consumer_i;
    counter        = counter_select_q == '0 ? cycle_q : counter_i;
    cycle_d        = cycle_q + 64'd1;
    counter_high_d = counter_high_q;

    r_d = r_q;
    if (r_q.valid && r_ready_i) r_d = '0;
    if (read) begin
      r_d.valid = 1'b1;
      case (32'(ar_i.address))
        CsrId:               r_d.data = Id;
        CsrVersion:          r_d.data = Version;
        CsrGeometry:         r_d.data = geometry_i;
        CsrControl:          r_d.data = {29'd0, pinned_q, 1'b0, enable_q};
        CsrStatus:           r_d.data = {29'd0, error_q.valid, busy, idle_i};
        CsrCommandBaseLo:    r_d.data = command_base_o[31:0];
        CsrCommandBaseHi:    r_d.data = 32'(command_base_o[AxiAddressBits-1:32]);
        CsrRingSizeLog2:     r_d.data = 32'(ring_size_log2_q);
        CsrDoorbell:         r_d.data = 32'(doorbell_q.producer);
        CsrConsumer:         r_d.data = 32'(consumer_i);
        CsrCompletionBaseLo: r_d.data = completion_base_o[31:0];
        CsrCompletionBaseHi: r_d.data = 32'(completion_base_o[AxiAddressBits-1:32]);
        CsrInterruptStatus:  r_d.data = 32'(status_q);
        CsrInterruptEnable:  r_d.data = 32'(interrupt_enable_q);
        CsrErrorCode:        r_d.data = 32'(error_q.code);
        CsrErrorIndex:       r_d.data = 32'(error_q.index);
        CsrCounterSelect:    r_d.data = 32'(counter_select_q);
        CsrCounterLo: begin
          r_d.data       = counter[31:0];
          counter_high_d = counter[63:32];
        end
        CsrCounterHi:        r_d.data = counter_high_q;
        CsrBoundsBaseLo:     r_d.data = bounds_base_o[31:0];
        CsrBoundsBaseHi:     r_d.data = 32'(bounds_base_o[AxiAddressBits-1:32]);
        CsrBoundsLimitLo:    r_d.data = bounds_limit_o[31:0];
        CsrBoundsLimitHi:    r_d.data = 32'(bounds_limit_o[AxiAddressBits-1:32]);
        default:             r_d.response = SlaveError;
      endcase
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aw_q               <= '0;
      w_q                <= '0;
      b_q                <= '0;
      r_q                <= '0;
      enable_q           <= '0;
      pinned_q           <= '0;
      soft_reset_q       <= '0;
      command_base_q     <= '0;
      ring_size_log2_q   <= '0;
      completion_base_q  <= '0;
      bounds_base_q      <= '0;
      bounds_limit_q     <= '0;
      doorbell_q         <= '0;
      status_q           <= '0;
      interrupt_enable_q <= '0;
      error_q            <= '0;
      counter_select_q   <= '0;
      cycle_q            <= '0;
      counter_high_q     <= '0;
    end else begin
      aw_q               <= aw_d;
      w_q                <= w_d;
      b_q                <= b_d;
      r_q                <= r_d;
      enable_q           <= enable_d;
      pinned_q           <= pinned_d;
      soft_reset_q       <= soft_reset_d;
      command_base_q     <= command_base_d;
      ring_size_log2_q   <= ring_size_log2_d;
      completion_base_q  <= completion_base_d;
      bounds_base_q      <= bounds_base_d;
      bounds_limit_q     <= bounds_limit_d;
      doorbell_q         <= doorbell_d;
      status_q           <= status_d;
      interrupt_enable_q <= interrupt_enable_d;
      error_q            <= error_d;
      counter_select_q   <= counter_select_d;
      cycle_q            <= cycle_d;
      counter_high_q     <= counter_high_d;
    end
  end

  // ---- outputs ----
  assign aw_ready_o        = !aw_q.valid;
  assign w_ready_o         = !w_q.valid;
  assign b_o               = b_q;
  assign ar_ready_o        = !r_q.valid;
  assign r_o               = r_q;
  assign interrupt_o       = (status_q & interrupt_enable_q) != '0;
  assign enable_o          = enable_q;
  assign pinned_o          = pinned_q;
  assign soft_reset_o      = soft_reset_q;
  assign command_base_o    = {command_base_q, {BaseShift{1'b0}}};
  assign ring_size_log2_o  = ring_size_log2_q;
  assign completion_base_o = {completion_base_q, {BaseShift{1'b0}}};
  assign bounds_base_o     = {bounds_base_q, {BaseShift{1'b0}}};
  assign bounds_limit_o    = {bounds_limit_q, {BaseShift{1'b0}}};
  assign doorbell_o        = doorbell_q;
  assign counter_select_o  = counter_select_q;

  // A write's response is on its way in the cycle of the soft reset: no doorbell can be lost with it.
  `TANDEM_INVARIANT(INV_CSR_1, !(soft_reset_q && write))
  // The error that is recorded is the one that the interrupt tells of.
  `TANDEM_INVARIANT(INV_CSR_2, error_q.valid == status_q.error)

endmodule : csr
