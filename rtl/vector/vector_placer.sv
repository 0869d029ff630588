// SPDX-License-Identifier: Apache-2.0
// Tells the writer where the units of a vector command go, a unit per cycle: of all rows from the cycle after the command was
// taken on, of Heads for each batch when it is asked to. Units come at least as fast as words of them can.
`include "tandem_assert.svh"

module vector_placer
  import tandem_pkg::*;
#(
  localparam int unsigned PitchBits = 15,                 // of the words of memory from row to row
  localparam int unsigned BaseBits  = AxiAddressBits - 5  // of an address in 32 bytes
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic                             start_i,         // work_i is taken
  input  logic                 [7:0][63:0] work_i,
  input  logic                             batch_i,         // Heads: units of a batch
  input  logic                       [3:0] units_i,         // how many
  output vector_place_t                    place_o,
  output logic        [AxiAddressBits-1:0] place_scales_o   // of place_o's unit: its first scale byte
);

  logic                      heads_d, heads_q;              // Quantise: a row has several heads
  logic                      wide_d, wide_q;
  logic      [PitchBits-1:0] pitch_d, pitch_q;              // from one unit to the next, in words of memory
  logic                [2:0] tokens_last_d, tokens_last_q;  // Quantise: T, less one
  logic                [2:0] token_d, token_q;
  logic       [BaseBits-1:0] first_d, first_q;              // of the head's first token
  logic [AxiAddressBits-1:0] first_scales_d, first_scales_q;
  logic       [BaseBits-1:0] base_d, base_q;                // of the next unit
  logic [AxiAddressBits-1:0] scales_d, scales_q;
  logic                [3:0] left_d, left_q;                // units that are to be placed
  logic                [2:0] unit_d, unit_q;                // the next
  vector_place_t             place_d, place_q;
  logic [AxiAddressBits-1:0] place_scales_d, place_scales_q;

  command_head_t        head;
  command_destination_t destination;
  command_shape_t       shape;
  heads_mode_t          mode;
  assign head        = work_i[0];
  assign destination = work_i[2];
  assign shape       = work_i[3];
  assign mode        = head.operand;
  logic unused_work;
  assign unused_work = ^{work_i, head, destination, shape, mode};

  // An operand row: words of scales, words of elements.
  logic   [FeatureBits-1:0] features;
  logic     [PitchBits-1:0] scale_words, element_words;
  logic               [1:0] part_words;  // of K, or of V, in a record
  logic        [LineBits-1:0] line;
  assign features      = head.opcode == 8'(OpcodeQuantise) ? shape.count[FeatureBits-1:0]
                                                           : shape.length[FeatureBits-1:0];
  assign scale_words   = PitchBits'(features[FeatureBits-1:11]) + PitchBits'(features[10:0] != '0);
  assign element_words = PitchBits'(features[FeatureBits-1:6]) + PitchBits'(features[5:0] != '0);
  assign part_words    = head.flags.int8 && head.flags.wide ? 2'd2 : 2'd1;
  assign line          = destination.address[$clog2(AxiBytes)+:LineBits];

  always_comb begin
    heads_d        = heads_q;
    wide_d         = wide_q;
    pitch_d        = pitch_q;
    tokens_last_d  = tokens_last_q;
    token_d        = token_q;
    first_d        = first_q;
    first_scales_d = first_scales_q;
    base_d         = base_q;
    scales_d       = scales_q;
    left_d         = left_q;
    unit_d         = unit_q;
    place_d        = place_q;
    place_scales_d = place_scales_q;

    place_d.valid = left_q != '0;
    if (left_q != '0) begin
      place_d.unit   = unit_q;
      place_d.base   = base_q;
      place_scales_d = scales_q;
      left_d         = left_q - 1'b1;
      unit_d         = unit_q + 1'b1;
      token_d        = token_q + 1'b1;
      base_d         = base_q + BaseBits'({pitch_q, 1'b0});
      scales_d       = scales_q + AxiAddressBits'({pitch_q, ($clog2(AxiBytes))'(0)});
      if (heads_q && token_q == tokens_last_q) begin
        token_d        = '0;
        base_d         = first_q + (wide_q ? BaseBits'(4) : BaseBits'(2));
        scales_d       = first_scales_q + (wide_q ? AxiAddressBits'(4) : AxiAddressBits'(2));
        first_d        = base_d;
        first_scales_d = scales_d;
      end
    end
    if (batch_i) begin
      left_d = units_i;
      unit_d = '0;
    end
    if (start_i) begin
      heads_d       = head.opcode == 8'(OpcodeQuantise);
      wide_d        = head.flags.wide;
      pitch_d       = PitchBits'(1);
      tokens_last_d = 3'(head.operand - 8'd1);
      token_d       = '0;
      base_d        = {line, 1'b0};
      scales_d      = {line, ($clog2(AxiBytes))'(0)};
      left_d        = head.rows[3:0];
      unit_d        = '0;
      case (head.opcode)
        8'(OpcodeNorm), 8'(OpcodeGate), 8'(OpcodeQuantise): begin
          pitch_d = scale_words + element_words;
          base_d  = {line + LineBits'(scale_words), 1'b0};
          if (heads_d) begin
            base_d   = base_d + BaseBits'(shape.length[FeatureBits-1:5]);
            scales_d = scales_d + AxiAddressBits'(shape.length[FeatureBits-1:5]);
          end
        end
        8'(OpcodeHeads): begin
          left_d  = '0;
          pitch_d = head.flags.wide ? PitchBits'(3) : PitchBits'(2);
          base_d  = {line + 1'b1, 1'b0};
          if (mode.target != '0) begin
            pitch_d  = PitchBits'({part_words, 1'b1});
            base_d   = {line + (mode.target[1] ? LineBits'(part_words) : '0), 1'b0};
            scales_d = {line + LineBits'({part_words, 1'b0}), 2'b0, mode.target[1], 3'b0};
          end
        end
        8'(OpcodeAngles), 8'(OpcodeArgmax): left_d = '0;
        default: ;
      endcase
      first_d        = base_d;
      first_scales_d = scales_d;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      heads_q        <= '0;
      wide_q         <= '0;
      pitch_q        <= '0;
      tokens_last_q  <= '0;
      token_q        <= '0;
      first_q        <= '0;
      first_scales_q <= '0;
      base_q         <= '0;
      scales_q       <= '0;
      left_q         <= '0;
      unit_q         <= '0;
      place_q        <= '0;
      place_scales_q <= '0;
    end else begin
      heads_q        <= heads_d;
      wide_q         <= wide_d;
      pitch_q        <= pitch_d;
      tokens_last_q  <= tokens_last_d;
      token_q        <= token_d;
      first_q        <= first_d;
      first_scales_q <= first_scales_d;
      base_q         <= base_d;
      scales_q       <= scales_d;
      left_q         <= left_d;
      unit_q         <= unit_d;
      place_q        <= place_d;
      place_scales_q <= place_scales_d;
    end
  end

  assign place_o        = place_q;
  assign place_scales_o = place_scales_q;

  `TANDEM_INVARIANT(INV_PLACER_1, !(start_i || batch_i) || left_q == '0)

endmodule : vector_placer
