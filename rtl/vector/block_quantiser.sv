// SPDX-License-Identifier: Apache-2.0
// 32 binary32 numbers into an MX block: the scale by the rule `even`, elements rounded to nearest even (docs/numerics.md,
// "Quantisers"). Latency 3 cycles, one block a cycle. MXINT8: bytes; MXFP4: low nibbles, the high ones are 0.
// The three steps are the functions of model/src/numerics/vector.rs, `quantise`. Registers keep their values while
// nothing comes.
`include "tandem_assert.svh"

module block_quantiser
  import tandem_pkg::*;
(
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          valid_i,
  input  logic                          int8_i,
  input  logic [SegmentLanes-1:0][31:0] values_i,
  output logic                          valid_o,
  output logic                    [7:0] scale_o,
  output logic  [SegmentLanes-1:0][7:0] codes_o
);

  localparam int unsigned Parts    = 4;                     // of a block, in step 1
  localparam int unsigned PartLen  = SegmentLanes / Parts;
  localparam int unsigned SigBits  = FractionBits + 1;      // with the hidden bit
  localparam int unsigned MaxShift = SigBits + 2;           // nothing is left, not even half a unit
  // From here on rounding to the element's significant bits, seven or two, carries.
  localparam logic [FractionBits-1:0] CarryInt8 = 23'h7f_0000;
  localparam logic [FractionBits-1:0] CarryFp4  = 23'h60_0000;
  localparam logic [8:0] MaxScale = 9'd254;

  logic        valid_d[3], valid_q[3];
  logic        int8_d[2], int8_q[2];
  logic [31:0] read_d[SegmentLanes], read_q[SegmentLanes];        // the values after step 1
  logic [31:0] scaled_d[SegmentLanes], scaled_q[SegmentLanes];    // after step 2
  logic [30:0] maxima_d[Parts], maxima_q[Parts];
  logic  [7:0] scale_d[2], scale_q[2];
  logic  [7:0] codes_d[SegmentLanes], codes_q[SegmentLanes];

  // Step 1: the largest magnitude of every part.
  always_comb begin
    valid_d[0] = valid_i;
    int8_d[0]  = int8_q[0];
    read_d     = read_q;
    maxima_d   = maxima_q;
    if (valid_i) begin
      int8_d[0] = int8_i;
      for (int unsigned i = 0; i < SegmentLanes; i++) read_d[i] = values_i[i];
      for (int unsigned p = 0; p < Parts; p++) begin
        maxima_d[p] = values_i[p*PartLen][30:0];
        for (int unsigned i = 1; i < PartLen; i++) begin
          if (values_i[p*PartLen+i][30:0] > maxima_d[p]) maxima_d[p] = values_i[p*PartLen+i][30:0];
        end
      end
    end
  end

  // Step 2: the scale. Exponent field and scale code have the same bias.
  logic [30:0] amax;
  logic  [8:0] code;
  always_comb begin
    amax = maxima_q[0];
    for (int unsigned p = 1; p < Parts; p++) begin
      if (maxima_q[p] > amax) amax = maxima_q[p];
    end
    code = 9'(amax[30:FractionBits])
           + 9'(amax[FractionBits-1:0] >= (int8_q[0] ? CarryInt8 : CarryFp4));
    if (!int8_q[0]) code = code > 9'd2 ? code - 9'd2 : '0;
    if (code > MaxScale) code = MaxScale;
    if (amax[30:FractionBits] == '0) code = '0;

    valid_d[1] = valid_q[0];
    int8_d[1]  = int8_q[1];
    scale_d[0] = scale_q[0];
    scaled_d   = scaled_q;
    if (valid_q[0]) begin
      int8_d[1]  = int8_q[0];
      scale_d[0] = code[7:0];
      scaled_d   = read_q;
    end
  end

  // Step 3: the elements.
  //   MXINT8: fffffffffffffffffffffff >> shift:  iiiiiiii hrr..., in units of 2^-6
  //   MXFP4:  fffffffffffffffffffffff >> shift:     qqqqq rrr..., in units of a quarter
  function automatic logic [7:0] element(input logic int8, input logic [7:0] scale,
                                         input logic [31:0] value);
    logic        [8:0]                  field;
    logic signed [10:0]                 distance;
    logic        [4:0]                  by;
    logic        [SigBits+MaxShift-1:0] aligned;
    logic        [7:0]                  kept;
    logic                               half;
    logic                               lost;
    logic        [7:0]                  rounded;
    logic        [2:0]                  size;
    field    = value[30:FractionBits] == '0 ? 9'd1 : 9'(value[30:FractionBits]);
    distance = (int8 ? 11'sd17 : 11'sd21) + signed'(11'(scale)) - signed'(11'(field));
    by       = distance > signed'(11'(MaxShift)) ? 5'(MaxShift) : distance[4:0];
    aligned  = {value[30:FractionBits] != '0, value[FractionBits-1:0], MaxShift'(0)} >> by;
    kept     = aligned[MaxShift+:8];
    half     = aligned[MaxShift-1];
    lost     = half || aligned[MaxShift-2:0] != '0;
    if (int8) begin
      rounded = kept + 8'(half && (aligned[MaxShift-2:0] != '0 || kept[0]));
      if (rounded[7]) rounded = 8'd127;
      return value[31] ? -rounded : rounded;
    end
    // Ties are at 1, 3, 5, 7, 10, 14 and 20 quarters; those below an even code go up.
    size = 3'd0;
    if (kept > 8'd1 || (kept == 8'd1 && lost)) size = 3'd1;
    if (kept >= 8'd3) size = 3'd2;
    if (kept > 8'd5 || (kept == 8'd5 && lost)) size = 3'd3;
    if (kept >= 8'd7) size = 3'd4;
    if (kept > 8'd10 || (kept == 8'd10 && lost)) size = 3'd5;
    if (kept >= 8'd14) size = 3'd6;
    if (kept > 8'd20 || (kept == 8'd20 && lost)) size = 3'd7;
    return {4'd0, value[31], size};
  endfunction

  always_comb begin
    valid_d[2] = valid_q[1];
    scale_d[1] = scale_q[1];
    codes_d    = codes_q;
    if (valid_q[1]) begin
      scale_d[1] = scale_q[0];
      for (int unsigned i = 0; i < SegmentLanes; i++) begin
        codes_d[i] = element(int8_q[1], scale_q[0], scaled_q[i]);
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < 3; i++) valid_q[i] <= '0;
      for (int unsigned i = 0; i < 2; i++) int8_q[i] <= '0;
      for (int unsigned i = 0; i < 2; i++) scale_q[i] <= '0;
      for (int unsigned i = 0; i < Parts; i++) maxima_q[i] <= '0;
      for (int unsigned i = 0; i < SegmentLanes; i++) begin
        read_q[i]   <= '0;
        scaled_q[i] <= '0;
        codes_q[i]  <= '0;
      end
    end else begin
      valid_q  <= valid_d;
      int8_q   <= int8_d;
      read_q   <= read_d;
      scaled_q <= scaled_d;
      maxima_q <= maxima_d;
      scale_q  <= scale_d;
      codes_q  <= codes_d;
    end
  end

  assign valid_o = valid_q[2];
  assign scale_o = scale_q[1];
  for (genvar i = 0; i < SegmentLanes; i++) begin : gen_code
    assign codes_o[i] = codes_q[i];
  end

  // There is no infinity and no NaN.
  `TANDEM_INVARIANT(INV_MX_1, !valid_q[0] || amax[30:FractionBits] != '1)

endmodule : block_quantiser
