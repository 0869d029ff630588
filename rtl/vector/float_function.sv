// SPDX-License-Identifier: Apache-2.0
// 1 / x, 1 / sqrt(x) or 2^x of a float (docs/numerics.md, "Vector unit"), less than one unit in the last place from the
// exact value. Latency FunctionLatency = 4 cycles, one value a cycle; `function_i` goes with its value.
// Parabolas, 128 segments to a binade (float_function_tables.svh). The four steps are the functions of
// model/src/numerics/vector.rs, `evaluate`.
module float_function
  import tandem_pkg::*;
(
  input  logic      clk_i,
  input  logic      rst_ni,
  input  function_e function_i,
  input  float_t    value_i,
  output float_t    result_o
);

  localparam int unsigned SigBits     = FractionBits + 1;            // with the hidden bit
  localparam int unsigned SegmentBits = 7;
  localparam int unsigned PlaceBits   = 18;                          // within a segment
  localparam int unsigned RestBits    = FractionBits - SegmentBits;  // of a fraction, below its segment
  localparam int unsigned ValueBits   = 30;                          // of a parabola, 28 fraction bits
  localparam int unsigned SlopeBits   = 22;
  localparam int unsigned BendBits    = 15;
  localparam int unsigned LowBits     = ValueBits - 1 - SigBits;     // that rounding takes away
  // 2^x: x has 11 bits before and 25 behind the point, and half of the last one.
  localparam int unsigned WholeBits   = 12;                          // with the sign
  localparam int unsigned FixedBits   = WholeBits + SegmentBits + PlaceBits;
  localparam int unsigned OverCode    = ExponentBias + WholeBits - 1;  // x is 2048 and more
  localparam int unsigned MaxShift    = FixedBits;                   // nothing is left
  localparam int unsigned RootCode    = 3 * ExponentBias / 2 - 1;

  `include "float_function_tables.svh"

  typedef enum logic [1:0] {
    TableReciprocal = 2'd0,  // 2 / m
    TablePower      = 2'd1,  // 2^u
    TableRoot       = 2'd2,  // 2 / sqrt(m)
    TableRootOdd    = 2'd3   // 2 / sqrt(2 m)
  } table_e;

  typedef struct packed {
    logic                    largest;   // the result is the largest magnitude, whatever the rest says
    logic                    negative;
    logic [ExponentBits-1:0] exponent;  // one less where the parabola reaches 2; of code 0 the result is 0
    table_e                  curve;
    logic [SegmentBits-1:0]  segment;
    logic [PlaceBits-1:0]    place;
  } prepared_t;

  typedef struct packed {
    logic                    largest;
    logic                    negative;
    logic                    falls;
    logic [ExponentBits-1:0] exponent;
    logic [SlopeBits-1:0]    slope;
    logic [PlaceBits-1:0]    place;
  } line_t;

  typedef struct packed {
    logic                    largest;
    logic                    negative;
    logic [ExponentBits-1:0] exponent;
    logic [ValueBits-1:0]    value;
  } value_t;

  prepared_t            prepared_d, prepared_q;
  line_t                line_d, line_q;
  logic [ValueBits-1:0] start_d, start_q;  // the parabola at the left end of its segment
  value_t               value_d, value_q;
  float_t               result_d, result_q;

  // Step 1: exponent, segment, place. Of 2^x: align, round half up in magnitude, sign; the integer part is the exponent.
  //   1.fffffffffffffffffffffff 0000000000000 >> shift:  iiiiiiiiiii sssssss pppppppppppppppppp h
  logic [ExponentBits-1:0] distance;
  logic [5:0]              shift;
  logic [FixedBits-1:0]    aligned, fixed;
  always_comb begin
    distance = ExponentBits'(OverCode - 1) - value_i.exponent;
    shift    = distance > ExponentBits'(MaxShift) ? 6'(MaxShift) : distance[5:0];
    aligned  = {value_i.exponent != '0, value_i.fraction, (FixedBits - SigBits)'(0)} >> shift;
    // -(kept + half) is ~kept + !half.
    fixed    = ({1'b0, aligned[FixedBits-1:1]} ^ {FixedBits{value_i.sign}})
               + FixedBits'(aligned[0] ^ value_i.sign);

    prepared_d          = '0;
    prepared_d.largest  = value_i.exponent == '0;
    prepared_d.negative = value_i.sign;
    prepared_d.curve    = TableReciprocal;
    prepared_d.exponent = '1 - value_i.exponent;
    prepared_d.segment  = value_i.fraction[RestBits+:SegmentBits];
    prepared_d.place    = {value_i.fraction[RestBits-1:0], (PlaceBits - RestBits)'(0)};
    if (function_i == FunctionRoot) begin
      prepared_d.largest  = value_i.exponent == '0 || value_i.sign;
      prepared_d.negative = 1'b0;
      prepared_d.curve    = value_i.exponent[0] ? TableRootOdd : TableRoot;
      prepared_d.exponent = ExponentBits'(RootCode) - (value_i.exponent >> 1);
    end else if (function_i == FunctionPower) begin
      prepared_d.largest  = 1'b0;
      prepared_d.negative = 1'b0;
      prepared_d.curve    = TablePower;
      prepared_d.exponent = ExponentBits'(ExponentBias) + fixed[FixedBits-1-:WholeBits];
      prepared_d.segment  = fixed[PlaceBits+:SegmentBits];
      prepared_d.place    = fixed[PlaceBits-1:0];
      if (value_i.exponent >= ExponentBits'(OverCode)) begin
        prepared_d.largest  = !value_i.sign;
        prepared_d.exponent = '0;
        prepared_d.segment  = '0;
        prepared_d.place    = '0;
      end
    end
  end

  // Step 2: the tables, and the mean slope up to the place.
  logic [8:0]                    entry;
  logic [BendBits+PlaceBits-1:0] bend;
  always_comb begin
    entry = {prepared_q.curve, prepared_q.segment};
    bend  = (BendBits + PlaceBits)'(Bend[entry]) * (BendBits + PlaceBits)'(prepared_q.place);

    start_d         = Start[entry];
    line_d.largest  = prepared_q.largest;
    line_d.negative = prepared_q.negative;
    line_d.falls    = prepared_q.curve != TablePower;
    line_d.exponent = prepared_q.exponent;
    line_d.slope    = line_d.falls ? Slope[entry] - SlopeBits'(bend[BendBits+PlaceBits-1:PlaceBits])
                                   : Slope[entry] + SlopeBits'(bend[BendBits+PlaceBits-1:PlaceBits]);
    line_d.place    = prepared_q.place;
  end

  // Step 3: the parabola's value.
  logic [SlopeBits+PlaceBits-1:0] change;
  always_comb begin
    change = (SlopeBits + PlaceBits)'(line_q.slope) * (SlopeBits + PlaceBits)'(line_q.place);

    value_d.largest  = line_q.largest;
    value_d.negative = line_q.negative;
    value_d.exponent = line_q.exponent;
    value_d.value    = line_q.falls ? start_q - ValueBits'(change[SlopeBits+PlaceBits-1:PlaceBits])
                                    : start_q + ValueBits'(change[SlopeBits+PlaceBits-1:PlaceBits]);
  end

  // Step 4: round half up. Of 2 the fraction is all zero, so it needs no shift.
  //   value: c1.fffffffffffffffffffffff hrrrr
  logic [SigBits:0] rounded;
  always_comb begin
    rounded           = (SigBits + 1)'(value_q.value >> LowBits) + (SigBits + 1)'(value_q.value[LowBits-1]);
    result_d.sign     = value_q.negative;
    result_d.exponent = value_q.exponent + ExponentBits'(rounded[SigBits]);
    result_d.fraction = rounded[FractionBits-1:0];
    if (value_q.largest) begin
      result_d.exponent = '1;
      result_d.fraction = '1;
    end else if (result_d.exponent == '0) begin
      result_d = '0;
    end
  end

  logic unused_bits;
  assign unused_bits = ^{bend[PlaceBits-1:0], change[PlaceBits-1:0], rounded[FractionBits]};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      prepared_q <= '0;
      line_q     <= '0;
      start_q    <= '0;
      value_q    <= '0;
      result_q   <= '0;
    end else begin
      prepared_q <= prepared_d;
      line_q     <= line_d;
      start_q    <= start_d;
      value_q    <= value_d;
      result_q   <= result_d;
    end
  end

  assign result_o = result_q;

endmodule : float_function
