// SPDX-License-Identifier: Apache-2.0
// Right edge of a segment of one row: block sums to floats, one float adder per chain, accumulators.
//
// Two cycles from a drained sum to the lo adder, FloatLatency to the hi adder, FloatLatency to the outputs; one
// block sum per chain and cycle. The lo adder continues what the segment to the left ripples over (or the stored
// partial, or +0), the hi adder continues the lo adder: the order of additions is that of the blocks. In PV each
// adder accumulates its chain's lanes into its accumulator file instead. Roundings: one per adder.
`include "tandem_assert.svh"

module segment_edge
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned AccDepth = 2 * SegmentLanes * chain_parts(Segments),
  localparam int unsigned AccBits  = $clog2(AccDepth)
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic             [1:0]  segment_i,        // which segment this is, constant
  input  drained_t                drained_i,
  input  scale_load_t             scale_load_i,
  input  row_control_t            row_control_i,    // of the GEMV or QK beat in drained_i
  input  block_control_t          block_control_i,  // of the PV beat that lane 0 worked on in the last cycle
  input  logic [1:0][11:0]        tile_exponent_i,  // of the tile that block_control_i ends
  input  float_t                  ripple_i,
  input  float_t                  partial_i,
  output logic             [5:0]  partial_slot_o,
  output float_t                  ripple_o,
  output result_t                 result_o,
  output logic                    partial_write_o,
  input  logic                    result_chain_i,
  input  logic             [6:0]  result_address_i,  // its low AccBits count
  output float_t                  result_data_o,
  input  logic                    clear_flags_i,
  output flags_t                  flags_o
);

  // Control of one block sum on its way through the edge.
  typedef struct packed {
    logic       row_sum;      // GEMV, QK
    logic       block_lo;     // PV, this chain accumulates
    logic       block_hi;
    logic       restart;      // first segment of the result's group
    logic       finish;       // last segment of the result's group
    logic       partial_in;
    logic       partial_out;
    logic [5:0] slot;
    logic       acc_first;
  } edge_control_t;

  localparam int unsigned Lo   = 1;                    // control stage beside the lo adder's inputs
  localparam int unsigned Hi   = Lo + FloatLatency;
  localparam int unsigned Last = Hi + FloatLatency;

  // ---- stationary scales and the tile that drains ----
  lane_byte_t [1:0]       scale_d, scale_q;
  block_control_t         tile_d, tile_q;
  logic       [1:0][11:0] tile_exponent_d, tile_exponent_q;

  always_comb begin
    scale_d = scale_q;
    if (scale_load_i.valid) scale_d[scale_load_i.bank] = scale_load_i.scale;
    tile_d          = tile_q;
    tile_exponent_d = tile_exponent_q;
    if (block_control_i.last) begin
      tile_d          = block_control_i;
      tile_exponent_d = tile_exponent_i;
    end
  end

  // ---- block sums: integers and exponents ----
  block_sum_t          lo_sum_d, lo_sum_q, hi_sum_d, hi_sum_q;
  logic                nan_scale_d, nan_scale_q;
  edge_control_t       control_d;
  edge_control_t       control_q[Last+1];
  logic [AccBits-1:0]  acc_address_d;
  logic [AccBits-1:0]  acc_address_q[Last+1];
  logic signed  [22:0] joined;
  lane_byte_t          stationary_scale;
  logic signed  [12:0] bias;
  logic         [1:0]  group_mask;
  logic                nan_lo, nan_hi, odd_part;

  always_comb begin
    joined           = 23'(signed'(drained_i.psum.lo)) + (23'(signed'(drained_i.psum.hi)) <<< 4);
    stationary_scale = scale_q[row_control_i.tag.bank];
    // Both E8M0 biases, the binary points of the elements: docs/numerics.md, "Blocks and scales".
    bias       = row_control_i.tag.int8 ? 13'sd266 : 13'sd261;
    nan_lo     = row_control_i.scale.lo == '1 || stationary_scale.lo == '1;
    nan_hi     = row_control_i.scale.hi == '1 || stationary_scale.hi == '1;
    group_mask = 2'((3'd1 << row_control_i.tag.group_log2) - 3'd1);
    odd_part   = tile_q.tag.part[0];

    lo_sum_d    = '0;
    hi_sum_d    = '0;
    nan_scale_d = 1'b0;
    control_d   = '0;
    acc_address_d = '0;
    if (drained_i.row_sum) begin
      lo_sum_d.exponent = signed'(13'(row_control_i.scale.lo) + 13'(stationary_scale.lo)) - bias;
      hi_sum_d.exponent = signed'(13'(row_control_i.scale.hi) + 13'(stationary_scale.hi)) - bias;
      nan_scale_d       = nan_lo;
      if (row_control_i.tag.int8) begin
        if (!nan_lo) lo_sum_d.number = joined;
      end else begin
        nan_scale_d = nan_lo || nan_hi;
        if (!nan_lo) lo_sum_d.number = 23'(signed'(drained_i.psum.lo));
        if (!nan_hi) hi_sum_d.number = 23'(signed'(drained_i.psum.hi));
      end
      control_d.row_sum     = 1'b1;
      control_d.restart     = (segment_i & group_mask) == '0;
      control_d.finish      = ((segment_i + 2'd1) & group_mask) == '0;
      control_d.partial_in  = row_control_i.tag.partial_in;
      control_d.partial_out = row_control_i.tag.partial_out;
      control_d.slot        = row_control_i.tag.slot;
    end else if (drained_i.block_sum) begin
      lo_sum_d.exponent = 13'(signed'(tile_exponent_q[0]));
      hi_sum_d.exponent = 13'(signed'(tile_exponent_q[1]));
      lo_sum_d.number = 23'(signed'(drained_i.psum.lo));
      hi_sum_d.number = 23'(signed'(drained_i.psum.hi));
      if (tile_q.tag.int8) begin
        lo_sum_d.number = odd_part ? '0 : joined;
        hi_sum_d.number = odd_part ? joined : '0;
      end
      control_d.block_lo    = !(tile_q.tag.int8 && odd_part);
      control_d.block_hi    = !(tile_q.tag.int8 && !odd_part);
      control_d.acc_first   = tile_q.tag.acc_first;
      acc_address_d         = acc_address(tile_q.tag.acc_bank,
                                            tile_q.tag.int8 ? tile_q.tag.part[1] : odd_part,
                                            drained_i.lane);
    end
  end

  // {bank, part of the chain, lane}; a file of one part per chain has no part bit.
  function automatic logic [AccBits-1:0] acc_address(input logic bank, input logic part,
                                                     input logic [4:0] lane);
    if (chain_parts(Segments) == 1) return AccBits'({bank, lane});
    return AccBits'({bank, part, lane});
  endfunction

  // ---- floats ----
  float_t lo_float_d, lo_float_q, hi_float_d, hi_float_q, hi_float_late;
  logic   lo_saturated, hi_saturated, convert_saturated_q;

  int_to_float u_lo_float (
    .sum_i      (lo_sum_q),
    .value_o    (lo_float_d),
    .saturated_o(lo_saturated)
  );
  int_to_float u_hi_float (
    .sum_i      (hi_sum_q),
    .value_o    (hi_float_d),
    .saturated_o(hi_saturated)
  );
  delay_line #(
    .Width($bits(float_t)),
    .Depth(FloatLatency)
  ) u_hi_late (
    .clk_i,
    .rst_ni,
    .data_i(hi_float_q),
    .data_o(hi_float_late)
  );

  // ---- adders ----
  float_t lo_acc, hi_acc, lo_result, hi_result;
  float_t lo_a, lo_b, lo_out, hi_a, hi_b, hi_out;
  logic   lo_add_saturated, hi_add_saturated;

  always_comb begin
    lo_a = lo_float_q;
    lo_b = '0;
    if (control_q[Lo].row_sum) begin
      if (!control_q[Lo].restart) lo_b = ripple_i;
      else if (control_q[Lo].partial_in) lo_b = partial_i;
    end else if (control_q[Lo].block_lo) begin
      if (!control_q[Lo].acc_first) lo_b = lo_acc;
    end else begin
      lo_a = '0;
    end
    hi_a = hi_float_late;
    hi_b = '0;
    if (control_q[Hi].row_sum) begin
      hi_b = lo_out;
    end else if (control_q[Hi].block_hi) begin
      if (!control_q[Hi].acc_first) hi_b = hi_acc;
    end else begin
      hi_a = '0;
    end
  end

  float_add u_lo_add (
    .clk_i,
    .rst_ni,
    .a_i        (lo_a),
    .b_i        (lo_b),
    .sum_o      (lo_out),
    .saturated_o(lo_add_saturated)
  );
  float_add u_hi_add (
    .clk_i,
    .rst_ni,
    .a_i        (hi_a),
    .b_i        (hi_b),
    .sum_o      (hi_out),
    .saturated_o(hi_add_saturated)
  );

  // ---- accumulators ----
  logic unused_address;
  assign unused_address = ^result_address_i;

  float_file #(
    .Depth(AccDepth),
    .Reads(2)
  ) u_lo_acc (
    .clk_i,
    .rst_ni,
    .write_i        (control_q[Hi].block_lo),
    .write_address_i(acc_address_q[Hi]),
    .write_data_i   (lo_out),
    .read_address_i ({AccBits'(result_address_i), acc_address_q[Lo]}),
    .read_data_o    ({lo_result, lo_acc})
  );
  float_file #(
    .Depth(AccDepth),
    .Reads(2)
  ) u_hi_acc (
    .clk_i,
    .rst_ni,
    .write_i        (control_q[Last].block_hi),
    .write_address_i(acc_address_q[Last]),
    .write_data_i   (hi_out),
    .read_address_i ({AccBits'(result_address_i), acc_address_q[Hi]}),
    .read_data_o    ({hi_result, hi_acc})
  );

  // ---- flags ----
  flags_t flags_d, flags_q;
  always_comb begin
    flags_d = clear_flags_i ? '0 : flags_q;
    flags_d.nan_scale |= nan_scale_q;
    flags_d.saturated |= convert_saturated_q | lo_add_saturated | hi_add_saturated;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      scale_q             <= '0;
      tile_q              <= '0;
      tile_exponent_q     <= '0;
      lo_sum_q            <= '0;
      hi_sum_q            <= '0;
      nan_scale_q         <= '0;
      lo_float_q          <= '0;
      hi_float_q          <= '0;
      convert_saturated_q <= '0;
      flags_q             <= '0;
      for (int unsigned i = 0; i <= Last; i++) begin
        control_q[i]     <= '0;
        acc_address_q[i] <= '0;
      end
    end else begin
      scale_q             <= scale_d;
      tile_q              <= tile_d;
      tile_exponent_q     <= tile_exponent_d;
      lo_sum_q            <= lo_sum_d;
      hi_sum_q            <= hi_sum_d;
      nan_scale_q         <= nan_scale_d;
      lo_float_q          <= lo_float_d;
      hi_float_q          <= hi_float_d;
      convert_saturated_q <= lo_saturated | hi_saturated;
      flags_q             <= flags_d;
      control_q[0]        <= control_d;
      acc_address_q[0]    <= acc_address_d;
      for (int unsigned i = 1; i <= Last; i++) begin
        control_q[i]     <= control_q[i-1];
        acc_address_q[i] <= acc_address_q[i-1];
      end
    end
  end

  // ---- outputs ----
  assign partial_slot_o  = control_q[Lo].slot;
  assign ripple_o        = hi_out;
  assign result_o.valid  = control_q[Last].row_sum && control_q[Last].finish && !control_q[Last].partial_out;
  assign result_o.slot   = control_q[Last].slot;
  assign result_o.value  = hi_out;
  assign partial_write_o = control_q[Last].row_sum && control_q[Last].finish && control_q[Last].partial_out;
  assign result_data_o   = result_chain_i ? hi_result : lo_result;
  assign flags_o         = flags_q;

  // One drain brings one kind of sum; both would want the same adder.
  `TANDEM_INVARIANT(INV_EDGE_1, !(drained_i.row_sum && drained_i.block_sum))

endmodule : segment_edge
