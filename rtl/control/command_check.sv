// SPDX-License-Identifier: Apache-2.0
// Whether a command may be carried out, by the rules of docs/commands.md: status 0, or that of the first rule which it
// breaks. Combinational.
module command_check
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  parameter int unsigned BankWords
) (
  input  logic          [7:0][63:0] command_i,
  input  logic [AxiAddressBits-1:0] bounds_base_i,
  input  logic [AxiAddressBits-1:0] bounds_limit_i,
  output logic                [7:0] status_o
);

  // Positions and lengths, FeatureBits wide alike; numbers of words of the banks or of memory; addresses of the end.
  localparam int unsigned WordBits = 32;
  localparam int unsigned EndBits  = AxiAddressBits + 2;

  command_head_t        head;
  command_source_t      source;
  command_destination_t destination;
  command_shape_t       shape;
  assign head        = command_i[0];
  assign source      = command_i[1];
  assign destination = command_i[2];
  assign shape       = command_i[3];

  logic [47:0] second;  // of vector commands: address of a second source
  heads_mode_t mode;    // of Heads
  assign second = command_i[4][47:0];
  assign mode   = head.operand;
  logic unused_mode;
  assign unused_mode = mode.rotated;

  logic load, gemv, attend, append, fill;
  logic embed, addition, norm, angles, heads, gate, quantise, argmax, vector;
  assign load     = head.opcode == 8'(OpcodeLoad);
  assign gemv     = head.opcode == 8'(OpcodeGemv);
  assign attend   = head.opcode == 8'(OpcodeAttend);
  assign append   = head.opcode == 8'(OpcodeAppend);
  assign fill     = head.opcode == 8'(OpcodeFill);
  assign embed    = head.opcode == 8'(OpcodeEmbed);
  assign addition = head.opcode == 8'(OpcodeAdd);
  assign norm     = head.opcode == 8'(OpcodeNorm);
  assign angles   = head.opcode == 8'(OpcodeAngles);
  assign heads    = head.opcode == 8'(OpcodeHeads);
  assign gate     = head.opcode == 8'(OpcodeGate);
  assign quantise = head.opcode == 8'(OpcodeQuantise);
  assign argmax   = head.opcode == 8'(OpcodeArgmax);
  assign vector   = head.opcode >= 8'(OpcodeEmbed);

  logic int8, wide;
  assign int8 = head.flags.int8;
  assign wide = head.flags.wide;

  // ---- which fields are in use ----
  logic uses_rows, uses_operands, placed, reads, reads_second, writes, banked, rooted;
  assign uses_operands = load || gemv || attend;
  assign uses_rows     = uses_operands || vector;
  assign placed        = attend || angles;  // it has positions
  assign banked        = fill || (attend && head.flags.resident);
  assign reads         = load || gemv || append || fill || (attend && !head.flags.resident) || vector;
  assign reads_second  = embed || addition || norm || heads || gate;
  assign writes        = gemv || attend || append || (vector && !angles);
  assign rooted        = embed || addition || (heads && !mode.plain);  // it takes roots of sums of squares

  // ---- fields ----
  logic flags_wrong, rows_wrong, unused_wrong, count_wrong, length_wrong, positions_wrong;
  logic                 operand_odd, field_wrong;
  logic           [3:0] batches;      // Quantise: heads of a token
  logic [FeatureBits:0] end_feature;  // Quantise: behind the last
  logic count_short, length_short;  // they have no more than 20 bits
  always_comb begin
    count_short  = shape.count[31:FeatureBits] == '0;
    length_short = shape.length[31:FeatureBits] == '0;

    flags_wrong = head.flags.reserved != '0 ||
                  (int8 && !(load || gemv || attend || append || heads)) ||
                  (wide && !(attend || append || angles || heads || quantise)) ||
                  ((head.flags.causal || head.flags.resident) && !attend) ||
                  (head.flags.grouped && !load);
    rows_wrong  = uses_rows ? head.rows == '0 || head.rows > 8'(Rows) : head.rows != '0;
    unused_wrong = (!(uses_operands || heads || quantise) && head.operand != '0) ||
                   (!reads && source.address != '0) ||
                   (!banked && source.bank != '0) ||
                   (!writes && destination.address != '0) ||
                   (!(gemv || attend) && destination.wait_array != '0) ||
                   (head.signal_tokens & (head.wait_tokens | destination.wait_array)) != '0;

    count_wrong  = shape.count != '0;
    length_wrong = shape.length != '0;
    if (gemv || attend) count_wrong = shape.count == '0 || !count_short;
    if (embed || argmax) count_wrong = shape.count == '0 || !count_short;
    if (append || fill || heads) count_wrong = shape.count == '0 || shape.count[31:16] != '0;
    if (quantise) count_wrong = shape.count == '0 || shape.count[4:0] != '0 || !count_short;
    if (load || gemv || embed || addition || norm || gate) begin
      length_wrong = shape.length == '0 || shape.length[4:0] != '0 || !length_short;
    end
    if (attend) length_wrong = !length_short;
    if (append) begin
      length_wrong = !length_short ||
                     (FeatureBits + 1)'(shape.length[FeatureBits-1:0]) + (FeatureBits + 1)'(shape.count[15:0])
                     > (FeatureBits + 1)'(2 ** FeatureBits);
    end

    batches = '0;
    for (int unsigned j = 1; j <= MaxRows; j++) begin
      if (11'(head.rows) == 11'(head.operand) * 11'(j)) batches = 4'(j);
    end
    end_feature = (FeatureBits + 1)'(shape.length[FeatureBits-1:0]) +
                  ((FeatureBits + 1)'(batches) << (wide ? 7 : 6));
    if (quantise) begin
      length_wrong = !length_short || shape.length[5:0] != '0 || (wide && shape.length[6]) ||
                     end_feature > (FeatureBits + 1)'(shape.count[FeatureBits-1:0]);
    end
    operand_odd = (quantise && batches == '0) ||
                  (heads && (mode.reserved != '0 || mode.target == 2'd3 || (mode.target == 2'd0 && int8)));

    // Positions, or what vector commands have in their place.
    positions_wrong = 1'b0;
    for (int unsigned r = 0; r < MaxRows; r++) begin
      if (placed && 8'(r) < head.rows ? command_i[4+r/2][32*(r%2)+FeatureBits+:32-FeatureBits] != '0
                                      : command_i[4+r/2][32*(r%2)+:32] != '0) begin
        positions_wrong = 1'b1;
      end
    end
    if (vector && !angles) begin
      positions_wrong = command_i[4][63:48] != '0 || (!reads_second && second != '0) ||
                        (!rooted && command_i[5] != '0) || command_i[6] != '0 || command_i[7] != '0;
    end
    field_wrong = flags_wrong || rows_wrong || unused_wrong || count_wrong || length_wrong ||
                  positions_wrong || operand_odd;
  end

  // ---- addresses ----
  logic alignment_wrong;
  assign alignment_wrong =
      source.address[47:AxiAddressBits] != '0 || source.address[$clog2(AxiBytes)-1:0] != '0 ||
      destination.address[47:AxiAddressBits] != '0 || destination.address[$clog2(AxiBytes)-1:0] != '0 ||
      (reads_second && (second[47:AxiAddressBits] != '0 || second[$clog2(AxiBytes)-1:0] != '0));

  // ---- chunks of x or q ----
  logic [FeatureBits-1:0] blocks, chunks;
  logic             [5:0] chunk_log2;  // log2 of a chunk's blocks
  logic                   operand_wrong;
  always_comb begin
    blocks     = FeatureBits'(shape.length[FeatureBits-1:5]);
    chunk_log2 = (head.flags.grouped ? 6'd0 : 6'($clog2(Segments))) + 6'(!int8);
    chunks     = ((blocks - 1'b1) >> chunk_log2) + 1'b1;
    if (attend) chunks = FeatureBits'(head_parts(Segments, int8, wide));
    operand_wrong = uses_operands && FeatureBits'(head.operand) + chunks > FeatureBits'(OperandChunks);
  end

  // ---- tiles of a session ----
  logic    [WordBits-1:0] parts, tile_words;
  logic             [5:0] tile_log2;  // log2 of a tile's tokens
  logic [FeatureBits-1:0] token_last, tiles, tile_first;
  logic    [WordBits-1:0] words;      // of the banks
  logic                   bank_wrong;
  always_comb begin
    parts      = head_parts(Segments, int8, wide);
    tile_words = parts * (int8 ? 32'd66 : 32'd68);
    tile_log2  = 6'd5 + 6'($clog2(head_groups(Segments, int8, wide)));
    token_last = shape.count[FeatureBits-1:0] - 1'b1;
    if (append) token_last = token_last + shape.length[FeatureBits-1:0];
    tile_first = shape.length[FeatureBits-1:0] >> tile_log2;
    tiles      = (token_last >> tile_log2) + 1'b1;
    words      = fill ? WordBits'(shape.count[15:0]) : WordBits'(tiles) * tile_words;
    bank_wrong = banked && WordBits'(source.bank) + words > WordBits'(Banks * BankWords);
  end

  // ---- what is written ----
  logic [FeatureBits-1:0] features;
  logic    [WordBits-1:0] results;  // words
  logic     [EndBits-1:0] target, tile_bytes, first, limit;
  logic     [EndBits-1:0] row_bytes, head_bytes;  // of a row of operands, of a head in rows or records
  logic                   bounds_wrong;
  always_comb begin
    features   = shape.count[FeatureBits-1:0];
    if (attend) features = FeatureBits'(wide ? 128 : 64);
    if (embed || addition || norm || gate) features = shape.length[FeatureBits-1:0];
    results    = ((WordBits'(features) + WordBits'(GroupFloats - 1)) / WordBits'(GroupFloats)) *
                 WordBits'(head.rows);
    target     = EndBits'(destination.address);
    tile_bytes = EndBits'(tile_words) * EndBits'(SegmentLanes * Segments);
    first      = target;
    limit      = target + EndBits'(results) * EndBits'(AxiBytes);
    if (append) begin
      first = target + EndBits'(tile_first) * tile_bytes;
      limit = target + EndBits'(tiles) * tile_bytes;
    end
    row_bytes  = (((EndBits'(features) >> 5) + EndBits'(AxiBytes - 1)) & ~EndBits'(AxiBytes - 1)) +
                 ((EndBits'(features) + EndBits'(AxiBytes - 1)) & ~EndBits'(AxiBytes - 1));
    head_bytes = EndBits'(wide ? 3 * AxiBytes : 2 * AxiBytes);
    if (mode.target != 2'd0) head_bytes = EndBits'(wide && int8 ? 5 * AxiBytes : 3 * AxiBytes);
    if (norm || gate) limit = target + EndBits'(head.rows) * row_bytes;
    if (heads) limit = target + EndBits'(shape.count[15:0]) * EndBits'(head.rows) * head_bytes;
    if (quantise) limit = target + EndBits'(head.operand) * row_bytes;
    if (argmax) limit = target + EndBits'(AxiBytes);
    bounds_wrong = writes && (first < EndBits'(bounds_base_i) || limit > EndBits'(bounds_limit_i));
  end

  always_comb begin
    status_o = 8'(StatusDone);
    if (bounds_wrong) status_o = 8'(StatusBounds);
    if (bank_wrong) status_o = 8'(StatusBank);
    if (operand_wrong) status_o = 8'(StatusOperand);
    if (alignment_wrong) status_o = 8'(StatusAlignment);
    if (field_wrong) status_o = 8'(StatusField);
    if (head.opcode > 8'(OpcodeArgmax)) status_o = 8'(StatusOpcode);
  end

endmodule : command_check
