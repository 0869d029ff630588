// SPDX-License-Identifier: Apache-2.0
// The p buffer of one row and segment, and its quantiser: weights in, 8-bit p out (docs/numerics.md, "Softmax").
//
// Score side: one weight a cycle, kept for TileSlots tiles, with the tile's maxima: of the weights for the
// denominator, of weight times scale of V for every V block. Feed side: one beat a cycle; p on p_o FeedLatency = 3
// cycles after its tag, with V's scale folded into its exponent, the tile's exponents 5 cycles after the tag of a
// part's last beat, the tile's sum of p without V's scales 4 cycles after the last beat of part 0. A load takes the
// p wires for a stationary operand. A tile's scores must all be in before its first beat is fed.
`include "tandem_assert.svh"

module p_quantiser
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned Blocks    = 2 * chain_parts(Segments),
  localparam int unsigned BlockBits = $clog2(Blocks)
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  weight_t                weight_i,
  input  score_tag_t             score_tag_i,
  input  logic [Blocks-1:0][7:0] scales_i,         // of the token's V blocks in this segment
  input  feed_tag_t              feed_tag_i,
  input  lane_byte_t             feed_scale_i,     // of the beat's V blocks, {hi, lo}
  output logic             [6:0] load_chunk_o,
  output logic             [5:0] load_count_o,
  input  lane_byte_t             operand_i,        // what load_*_o name, in the same cycle
  output lane_byte_t             p_o,
  output logic       [1:0][11:0] tile_exponent_o,
  output tile_sum_t              tile_sum_o,
  input  logic                   clear_flags_i,
  output logic                   nan_scale_o
);

  localparam int unsigned Stages   = 4;
  localparam logic [3:0]  TooSmall = 4'd9;          // a shift that leaves nothing
  // p is the mantissa >> 4: 2^7 stands for 1.
  localparam logic signed [11:0] PointOfP = 12'sd7;
  localparam logic signed [11:0] ScaleBias = 12'sd127;

  typedef struct packed {
    logic               any;
    logic signed [11:0] maximum;
  } tile_maximum_t;

  typedef struct packed {
    logic [3:0] hi;
    logic [3:0] lo;
    logic [3:0] key;  // without V's scale
  } shifts_t;

  function automatic tile_maximum_t raised(input tile_maximum_t so_far, input logic counts,
                                           input logic signed [11:0] exponent);
    if (counts && (!so_far.any || exponent > so_far.maximum)) return {1'b1, exponent};
    return so_far;
  endfunction

  function automatic logic [3:0] shift(input logic signed [11:0] maximum, input logic counts,
                                       input logic signed [11:0] exponent);
    logic signed [12:0] distance;
    distance = 13'(maximum) - 13'(exponent);
    return counts && distance >= 13'sd0 && distance < 13'(TooSmall) ? distance[3:0] : TooSmall;
  endfunction

  //   mantissa >> 4 + shift:  pppppppp.hrrrrrrrrrrrr
  function automatic logic [7:0] quantised(input logic [MantissaBits-1:0] mantissa, input logic [3:0] by);
    logic [MantissaBits+8:0] shifted;
    logic [8:0]              rounded;
    shifted = {mantissa, 9'd0} >> by;
    rounded = {1'b0, shifted[20:13]} + 9'(shifted[12] && (shifted[11:0] != '0 || shifted[13]));
    return rounded[8] ? '1 : rounded[7:0];
  endfunction

  // ---- score side: weights and maxima ----
  weight_t       weight_q[TileSlots*SegmentLanes];  // {tile, beat}
  tile_maximum_t key_maximum_d[TileSlots], key_maximum_q[TileSlots];
  tile_maximum_t value_maximum_d[TileSlots*Blocks], value_maximum_q[TileSlots*Blocks];  // {tile, block}

  logic [BlockBits+1:0] block_address[Blocks];
  logic signed [11:0]   weight_exponent;
  always_comb begin
    key_maximum_d   = key_maximum_q;
    value_maximum_d = value_maximum_q;
    weight_exponent = 12'(weight_i.exponent);
    for (int unsigned k = 0; k < Blocks; k++) block_address[k] = {score_tag_i.tile, BlockBits'(k)};
    if (score_tag_i.valid) begin
      key_maximum_d[score_tag_i.tile] = raised(
          score_tag_i.first ? '0 : key_maximum_q[score_tag_i.tile], weight_i.visible, weight_exponent);
      for (int unsigned k = 0; k < Blocks; k++) begin
        value_maximum_d[block_address[k]] = raised(
            score_tag_i.first ? '0 : value_maximum_q[block_address[k]],
            weight_i.visible && scales_i[k] != '1,
            weight_exponent + signed'(12'(scales_i[k])));
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (score_tag_i.valid && rst_ni) weight_q[{score_tag_i.tile, score_tag_i.beat}] <= weight_i;
  end

  // ---- feed side ----
  feed_tag_t   tag_q[Stages];
  weight_t     read_d, read_q;
  lane_byte_t  scale_d, scale_q;
  shifts_t     shifts_d, shifts_q;
  logic [11:0] mantissa_q;
  lane_byte_t  p_d, p_q;
  logic [7:0]  key_p_d, key_p_q;
  tile_sum_t   tile_sum_d, tile_sum_q;
  logic [1:0][11:0] tile_exponent_d, tile_exponent_q;

  // Where the maximum of a chain's V block lies: FP4 has a block per chain, INT8 one for both.
  function automatic logic [BlockBits+1:0] chain_address(
      input logic [1:0] tile, input logic int8, input logic [1:0] part, input logic chain);
    return {tile, BlockBits'(int8 ? part : {part[0], chain})};
  endfunction

  // Stage 1: the weight.
  always_comb begin
    read_d  = '0;
    scale_d = '0;
    if (feed_tag_i.valid) begin
      read_d  = weight_q[{feed_tag_i.tile, feed_tag_i.beat}];
      scale_d = feed_scale_i;
    end
  end

  // Stage 2: how far below the maximum.
  logic [BlockBits+1:0] read_lo, read_hi;
  logic signed [11:0]   key_exponent, lo_exponent, hi_exponent;
  always_comb begin
    read_lo      = chain_address(tag_q[0].tile, tag_q[0].int8, tag_q[0].part, 1'b0);
    read_hi      = chain_address(tag_q[0].tile, tag_q[0].int8, tag_q[0].part, 1'b1);
    key_exponent = 12'(read_q.exponent);
    lo_exponent  = key_exponent + signed'(12'(scale_q.lo));
    hi_exponent  = key_exponent + signed'(12'(scale_q.hi));
    shifts_d.lo  = shift(value_maximum_q[read_lo].maximum, read_q.visible && scale_q.lo != '1, lo_exponent);
    shifts_d.hi  = shift(value_maximum_q[read_hi].maximum, read_q.visible && scale_q.hi != '1, hi_exponent);
    shifts_d.key = shift(key_maximum_q[tag_q[0].tile].maximum, read_q.visible, key_exponent);
  end

  // Stage 3: p, or the operand that a load asks for.
  assign load_chunk_o = tag_q[1].load_chunk;
  assign load_count_o = tag_q[1].load_count;
  always_comb begin
    p_d.hi  = quantised(mantissa_q, shifts_q.hi);
    p_d.lo  = quantised(mantissa_q, shifts_q.lo);
    key_p_d = quantised(mantissa_q, shifts_q.key);
    if (tag_q[1].load) p_d = operand_i;
  end

  // Stage 4: the tile's share of the denominator, once per tile.
  tile_maximum_t key_top;
  always_comb begin
    key_top          = key_maximum_q[tag_q[2].tile];
    tile_sum_d       = tile_sum_q;
    tile_sum_d.valid = 1'b0;
    if (tag_q[2].valid && tag_q[2].part == '0) begin
      tile_sum_d.number = (tag_q[2].beat == '0 ? '0 : tile_sum_q.number) + 13'(key_p_q);
      if (tag_q[2].last) begin
        tile_sum_d.valid     = 1'b1;
        tile_sum_d.acc_first = tag_q[2].acc_first;
        tile_sum_d.acc_bank  = tag_q[2].acc_bank;
        tile_sum_d.exponent  = key_top.any ? key_top.maximum - PointOfP : '0;
      end
    end
  end

  // Stage 5: the tile's exponents. INT8 elements of V are in units of 2^-6, doubled E2M1 in units of 2^-1.
  tile_maximum_t      lo_top, hi_top;
  logic signed [11:0] point;
  always_comb begin
    lo_top = value_maximum_q[chain_address(tag_q[3].tile, tag_q[3].int8, tag_q[3].part, 1'b0)];
    hi_top = value_maximum_q[chain_address(tag_q[3].tile, tag_q[3].int8, tag_q[3].part, 1'b1)];
    point  = ScaleBias + PointOfP + (tag_q[3].int8 ? 12'sd6 : 12'sd1);
    tile_exponent_d = tile_exponent_q;
    if (tag_q[3].valid && tag_q[3].last) begin
      tile_exponent_d[0] = lo_top.any ? lo_top.maximum - point : '0;
      tile_exponent_d[1] = hi_top.any ? hi_top.maximum - point : '0;
    end
  end

  // ---- flag ----
  logic nan_scale_d, nan_scale_q;
  always_comb begin
    nan_scale_d = nan_scale_q && !clear_flags_i;
    if (read_q.visible && (scale_q.hi == '1 || scale_q.lo == '1)) nan_scale_d = 1'b1;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < TileSlots; i++) key_maximum_q[i] <= '0;
      for (int unsigned i = 0; i < TileSlots * Blocks; i++) value_maximum_q[i] <= '0;
      for (int unsigned i = 0; i < Stages; i++) tag_q[i] <= '0;
      read_q          <= '0;
      scale_q         <= '0;
      shifts_q        <= '0;
      mantissa_q      <= '0;
      p_q             <= '0;
      key_p_q         <= '0;
      tile_sum_q      <= '0;
      tile_exponent_q <= '0;
      nan_scale_q     <= '0;
    end else begin
      key_maximum_q   <= key_maximum_d;
      value_maximum_q <= value_maximum_d;
      tag_q[0]        <= feed_tag_i;
      for (int unsigned i = 1; i < Stages; i++) tag_q[i] <= tag_q[i-1];
      read_q          <= read_d;
      scale_q         <= scale_d;
      shifts_q        <= shifts_d;
      mantissa_q      <= read_q.mantissa;
      p_q             <= p_d;
      key_p_q         <= key_p_d;
      tile_sum_q      <= tile_sum_d;
      tile_exponent_q <= tile_exponent_d;
      nan_scale_q     <= nan_scale_d;
    end
  end

  // ---- outputs ----
  assign p_o             = p_q;
  assign tile_exponent_o = tile_exponent_q;
  assign tile_sum_o      = tile_sum_q;
  assign nan_scale_o     = nan_scale_q;

  // A slot of the p wires carries p or an operand.
  `TANDEM_INVARIANT(INV_QUANTISER_1, !(feed_tag_i.valid && feed_tag_i.load))
  // No weight is above the maximum of its tile: all scores were in, the scales of both sides are the same.
  `TANDEM_INVARIANT(INV_QUANTISER_2, !read_q.visible || key_exponent <= key_maximum_q[tag_q[0].tile].maximum)
  `TANDEM_INVARIANT(INV_QUANTISER_3, !read_q.visible || scale_q.lo == '1
      || lo_exponent <= value_maximum_q[read_lo].maximum)
  `TANDEM_INVARIANT(INV_QUANTISER_4, !read_q.visible || scale_q.hi == '1
      || hi_exponent <= value_maximum_q[read_hi].maximum)
  // INT8 has one V block for both chains.
  `TANDEM_INVARIANT(INV_QUANTISER_5, !(feed_tag_i.valid && feed_tag_i.int8)
      || feed_scale_i.hi == feed_scale_i.lo)

endmodule : p_quantiser
