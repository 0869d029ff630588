// SPDX-License-Identifier: Apache-2.0
// Takes the commands that stream, one after the other, and asks memory for their words: weights tile by tile, K three
// tiles ahead of V, words that stay in the banks. Every request comes with a run that tells what becomes of its words.
// A tile of K and V is asked for when the banks have room for all of it. A request can be taken 3 cycles after a Gemv
// was, 2 after a Fill, 3 after a head was started; one follows per cycle.
`include "tandem_assert.svh"

module stream_sequencer
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,   // 1 or 2
  parameter int unsigned Rows,
  parameter int unsigned BankWords,
  localparam int unsigned OffsetBits = $clog2(AxiBytes),
  localparam int unsigned Parts      = AxiBytes / (SegmentLanes * Segments)  // array's words in one of memory
) (
  input  logic                                    clk_i,
  input  logic                                    rst_ni,
  input  logic                                    pinned_i,        // tiles have half of the banks
  input  logic                                    work_valid_i,
  input  logic             [CommandIndexBits-1:0] work_index_i,
  input  logic                        [7:0][63:0] work_i,
  output logic                                    work_ready_o,
  output command_t                                command_o,       // a head
  output logic       [Rows-1:0][PositionBits-1:0] positions_o,
  output logic                         [Rows-1:0] rows_o,
  input  logic                                    command_ready_i,
  input  head_start_t                             started_i,
  input  head_info_t                              started_info_i,
  input  head_start_t                             refused_i,
  output read_request_t                           request_o,
  input  logic                                    request_ready_i,
  output stream_run_t                             run_o,
  input  logic                                    run_ready_i,
  input  bank_fill_t                              written_i,       // this word is in the banks
  input  logic                                    released_i,      // the room of the oldest tile is free
  input  logic                                    fill_error_i,    // a word of the Fill could not be read
  output logic                                    array_valid_o,
  output logic             [CommandIndexBits-1:0] array_index_o,
  output logic                        [7:0][63:0] array_work_o,
  input  logic                                    array_ready_i,
  output done_t                                   done_o,
  input  logic                                    done_ready_i,
  output logic                                    working_o,       // on the command of array_index_o
  output logic                                    waits_o          // for room in the banks
);

  localparam int unsigned PartsLog2    = $clog2(Parts);
  localparam int unsigned SegmentsLog2 = $clog2(Segments);
  localparam int unsigned Words        = Banks * BankWords;
  localparam int unsigned TileBits     = 16;  // of a number of tiles

  typedef enum logic [2:0] {
    StateIdle    = 3'd0,
    StateMeasure = 3'd1,  // Gemv: how many chunks
    StateWeights = 3'd2,  // asks for them
    StateCommand = 3'd3,  // Attend: the head is offered
    StateAnswer  = 3'd4,  // it was taken
    StatePlace   = 3'd5,  // where its first tile lies
    StateTiles   = 3'd6,  // asks for them
    StateFill    = 3'd7   // asks for words that stay, waits until they are written
  } state_e;

  state_e                          state_d, state_q;
  logic     [CommandIndexBits-1:0] index_d, index_q;
  logic                [7:0][63:0] work_d, work_q;
  logic                            array_valid_d, array_valid_q;
  logic                      [1:0] context_d, context_q;
  done_t                           done_d, done_q;
  read_request_t                   request_d, request_q;
  stream_run_t                     run_d, run_q;
  logic             [LineBits-1:0] line_d, line_q;              // next of W, of K, of the Fill
  logic             [LineBits-1:0] value_line_d, value_line_q;  // next of V
  logic          [FeatureBits-1:0] left_d, left_q;              // features, words to be asked for
  logic                     [14:0] factor_d, factor_q;          // chunks, or number of the first tile
  logic             [TileBits-1:0] keys_left_d, keys_left_q;    // tiles whose K is to be asked for
  logic                      [1:0] ahead_d, ahead_q;            // tiles whose K was asked for, and V was not
  logic      [WordAddressBits-1:0] place_d, place_q;            // of the next tile
  logic      [WordAddressBits-1:0] value_place_d, value_place_q;  // of V
  logic      [WordAddressBits-1:0] used_d, used_q;              // words of the banks in use for tiles
  logic  [Contexts-1:0][TileBits-1:0] owed_d, owed_q;              // by head: tiles that are to be released
  logic           [Contexts-1:0][8:0] owed_words_d, owed_words_q;  // by head: words of a tile
  logic                      [1:0] oldest_d, oldest_q;          // head whose tile is released next
  logic                      [1:0] newest_d, newest_q;          // where the next head goes
  logic                     [15:0] unwritten_d, unwritten_q;    // words of the Fill
  logic                            failed_d, failed_q;          // one of them could not be read

  // ---- the command ----
  command_head_t        head;
  command_source_t      source;
  command_destination_t destination;
  command_shape_t       shape, shape_next;
  command_head_t        head_next;
  command_source_t      source_next;
  logic                 take;
  assign head        = work_q[0];
  assign source      = work_q[1];
  assign destination = work_q[2];
  assign shape       = work_q[3];
  assign head_next   = work_i[0];
  assign source_next = work_i[1];
  assign shape_next  = work_i[3];
  assign take        = work_valid_i && work_ready_o;

  logic unused_fields;
  assign unused_fields =
      ^{head.flags.reserved, head.flags.grouped, head.opcode, head.operand, head.wait_tokens, source.address,
        destination, shape.count[31:PositionBits], shape.length[31:PositionBits], head_next.flags,
        head_next.rows, head_next.operand, head_next.wait_tokens, head_next.signal_tokens, source_next.bank,
        source_next.address[47:AxiAddressBits], source_next.address[OffsetBits-1:0],
        shape_next.count[31:FeatureBits], shape_next.length, started_info_i.resident, started_info_i.int8,
        started_info_i.wide, started_info_i.base, refused_i.head, written_i.address};

  // ---- a tile of K and V ----
  logic                       grouped;
  logic                 [2:0] parts;
  logic                 [8:0] scale_words, key_words, value_words, tile_words;  // of the array
  logic                 [8:0] key_lines, value_lines, tile_lines;               // words of memory
  logic        [TileBits-1:0] first, after;  // its first tile, and the one after its last
  logic [WordAddressBits-1:0] capacity;
  logic                 [1:0] ahead_most;
  logic                       room;
  always_comb begin
    grouped     = head_groups(Segments, head.flags.int8, head.flags.wide) != 1;
    parts       = 3'(head_parts(Segments, head.flags.int8, head.flags.wide));
    scale_words = 9'(parts) << !head.flags.int8;
    value_words = 9'(parts) << 5;
    key_words   = (scale_words << 1) + value_words;
    tile_words  = key_words + value_words;
    key_lines   = key_words >> PartsLog2;
    value_lines = value_words >> PartsLog2;
    tile_lines  = tile_words >> PartsLog2;
    first       = TileBits'((started_info_i.origin >> 5) >> grouped);
    after       = TileBits'((({1'b0, started_info_i.limit} + (grouped ? 21'd63 : 21'd31)) >> 5) >> grouped);
    capacity    = WordAddressBits'(Words) >> pinned_i;
    room        = capacity - used_q >= WordAddressBits'(tile_words);
    // So many tiles fit in at once: K may not run further ahead, or V would never be asked for.
    ahead_most  = 2'd1;
    for (int unsigned tiles = 2; tiles <= TilesAhead; tiles++) begin
      if (WordAddressBits'(tile_words) * WordAddressBits'(tiles) <= capacity) ahead_most = 2'(tiles);
    end
  end

  // ---- a tile of weights ----
  logic [6:0] features, feature_words;
  logic [9:0] blocks, chunks;
  always_comb begin
    features      = left_q < FeatureBits'(PsumSlots) ? 7'(left_q) : 7'(PsumSlots);
    feature_words = features + (head.flags.int8 ? (features + 7'd31) >> 5 : (features + 7'd15) >> 4);
    blocks        = shape.length[14:5];
    chunks        = head.flags.int8 ? (blocks + 10'(Segments - 1)) >> SegmentsLog2
                                    : (blocks + 10'(2 * Segments - 1)) >> (SegmentsLog2 + 1);
  end

  // The one multiplier: words of a tile of weights, or lines before the first tile of K and V.
  logic [22:0] product;
  assign product = 23'(factor_q) * 23'(state_q == StateWeights ? {2'd0, feature_words} : tile_lines);

  // ---- the next request ----
  stream_run_t         next;
  logic [LineBits-1:0] next_line;
  logic         [15:0] next_lines;
  logic                value_turn, issue;
  always_comb begin
    value_turn = keys_left_q == '0 || ahead_q == ahead_most;
    next       = '{region: RegionResident, index: index_q, head: context_q, default: '0};
    next_line  = line_q;
    next_lines = '0;
    unique case (state_q)
      StateWeights: begin
        next.valid   = 1'b1;
        next.weights = 1'b1;
        next.words   = 16'(product);
        next_lines   = (16'(product) + 16'(Parts - 1)) >> PartsLog2;
      end
      StateTiles: begin
        next.valid   = value_turn || room;
        next.region  = value_turn ? RegionValue : RegionKey;
        next.address = value_turn ? value_place_q : place_q;
        next.words   = 16'(value_turn ? value_words : key_words);
        next_line    = value_turn ? value_line_q : line_q;
        next_lines   = 16'(value_turn ? value_lines : key_lines);
      end
      StateFill: begin
        next.valid   = left_q != '0;
        next.address = source.bank;
        next.words   = 16'(left_q);
        next_lines   = 16'((left_q + FeatureBits'(Parts - 1)) >> PartsLog2);
      end
      default: next.valid = 1'b0;
    endcase
  end
  assign issue = next.valid && (!request_q.valid || request_ready_i) && (!run_q.valid || run_ready_i);

  always_comb begin
    state_d       = state_q;
    index_d       = index_q;
    work_d        = work_q;
    array_valid_d = array_valid_q && !array_ready_i;
    context_d     = context_q;
    done_d        = done_q;
    request_d     = request_q;
    run_d         = run_q;
    line_d        = line_q;
    value_line_d  = value_line_q;
    left_d        = left_q;
    factor_d      = factor_q;
    keys_left_d   = keys_left_q;
    ahead_d       = ahead_q;
    place_d       = place_q;
    value_place_d = value_place_q;
    used_d        = used_q;
    owed_d        = owed_q;
    owed_words_d  = owed_words_q;
    oldest_d      = oldest_q;
    newest_d      = newest_q;
    unwritten_d   = unwritten_q;
    failed_d      = failed_q || fill_error_i;

    if (done_ready_i) done_d.valid = 1'b0;
    if (request_ready_i) request_d.valid = 1'b0;
    if (run_ready_i) run_d.valid = 1'b0;
    if (issue) begin
      request_d = '{valid: 1'b1, address: {next_line, OffsetBits'(0)}, words: next_lines};
      run_d     = next;
    end
    if (written_i.valid && written_i.region == RegionResident) unwritten_d = unwritten_q - 1'b1;
    if (released_i) begin
      used_d           = used_q - WordAddressBits'(owed_words_q[oldest_q]);
      owed_d[oldest_q] = owed_q[oldest_q] - 1'b1;
      if (owed_q[oldest_q] == TileBits'(1)) oldest_d = oldest_q + 1'b1;
    end

    unique case (state_q)
      StateIdle: begin
        if (take) begin
          index_d       = work_index_i;
          work_d        = work_i;
          line_d        = source_next.address[AxiAddressBits-1:OffsetBits];
          left_d        = shape_next.count[FeatureBits-1:0];
          array_valid_d = head_next.opcode == 8'(OpcodeGemv);
          unique case (head_next.opcode)
            8'(OpcodeGemv): state_d = StateMeasure;
            8'(OpcodeFill): begin
              state_d     = StateFill;
              unwritten_d = shape_next.count[15:0];
              failed_d    = 1'b0;
            end
            default: state_d = StateCommand;
          endcase
        end
      end
      StateMeasure: begin
        factor_d = 15'(chunks);
        state_d  = StateWeights;
      end
      StateWeights: begin
        if (issue) begin
          line_d = line_q + LineBits'(next_lines);
          left_d = left_q - FeatureBits'(features);
          if (left_d == '0) state_d = StateIdle;
        end
      end
      StateCommand: begin
        if (command_ready_i) state_d = StateAnswer;
      end
      StateAnswer: begin
        if (started_i.valid) begin
          array_valid_d = 1'b1;
          context_d     = started_i.head;
          factor_d      = 15'(first);
          keys_left_d   = after - first;
          state_d       = head.flags.resident ? StateIdle : StatePlace;
        end
        if (refused_i.valid) begin
          done_d  = '{valid: 1'b1, status: 8'(StatusNoKeys), notify: head.flags.notify,
                      tokens: head.signal_tokens, index: index_q};
          state_d = StateIdle;
        end
      end
      StatePlace: begin
        line_d                 = line_q + LineBits'(product);
        value_line_d           = line_d + LineBits'(key_lines);
        value_place_d          = place_q + WordAddressBits'(key_words);
        owed_d[newest_q]       = keys_left_q;
        owed_words_d[newest_q] = tile_words;
        newest_d               = newest_q + 1'b1;
        state_d                = StateTiles;
      end
      StateTiles: begin
        if (issue && value_turn) begin
          value_line_d  = value_line_q + LineBits'(tile_lines);
          value_place_d = value_place_q + WordAddressBits'(tile_words);
          ahead_d       = ahead_q - 1'b1;
          if (keys_left_q == '0 && ahead_q == 2'd1) state_d = StateIdle;
        end else if (issue) begin
          line_d      = line_q + LineBits'(tile_lines);
          place_d     = place_q + WordAddressBits'(tile_words);
          used_d      = used_d + WordAddressBits'(tile_words);
          keys_left_d = keys_left_q - 1'b1;
          ahead_d     = ahead_q + 1'b1;
        end
      end
      StateFill: begin
        if (issue) left_d = '0;
        if (left_q == '0 && unwritten_q == '0) begin
          done_d  = '{valid: 1'b1, status: failed_q ? 8'(StatusReadError) : 8'(StatusDone),
                      notify: head.flags.notify, tokens: head.signal_tokens, index: index_q};
          state_d = StateIdle;
        end
      end
      default: state_d = StateIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q       <= StateIdle;
      index_q       <= '0;
      work_q        <= '0;
      array_valid_q <= '0;
      context_q     <= '0;
      done_q        <= '0;
      request_q     <= '0;
      run_q         <= '0;
      line_q        <= '0;
      value_line_q  <= '0;
      left_q        <= '0;
      factor_q      <= '0;
      keys_left_q   <= '0;
      ahead_q       <= '0;
      place_q       <= '0;
      value_place_q <= '0;
      used_q        <= '0;
      owed_q        <= '0;
      owed_words_q  <= '0;
      oldest_q      <= '0;
      newest_q      <= '0;
      unwritten_q   <= '0;
      failed_q      <= '0;
    end else begin
      state_q       <= state_d;
      index_q       <= index_d;
      work_q        <= work_d;
      array_valid_q <= array_valid_d;
      context_q     <= context_d;
      done_q        <= done_d;
      request_q     <= request_d;
      run_q         <= run_d;
      line_q        <= line_d;
      value_line_q  <= value_line_d;
      left_q        <= left_d;
      factor_q      <= factor_d;
      keys_left_q   <= keys_left_d;
      ahead_q       <= ahead_d;
      place_q       <= place_d;
      value_place_q <= value_place_d;
      used_q        <= used_d;
      owed_q        <= owed_d;
      owed_words_q  <= owed_words_d;
      oldest_q      <= oldest_d;
      newest_q      <= newest_d;
      unwritten_q   <= unwritten_d;
      failed_q      <= failed_d;
    end
  end

  assign work_ready_o       = state_q == StateIdle && !array_valid_q && !done_q.valid;
  assign command_o.valid    = state_q == StateCommand;
  assign command_o.resident = head.flags.resident;
  assign command_o.int8     = head.flags.int8;
  assign command_o.wide     = head.flags.wide;
  assign command_o.causal   = head.flags.causal;
  assign command_o.window   = shape.length[PositionBits-1:0];
  assign command_o.tokens   = shape.count[PositionBits-1:0];
  assign command_o.base     = head.flags.resident ? source.bank : place_q;
  for (genvar r = 0; r < Rows; r++) begin : gen_row
    assign positions_o[r] = work_q[4+r/2][32*(r%2)+:PositionBits];
    assign rows_o[r]      = 8'(r) < head.rows;
  end
  assign request_o       = request_q;
  assign run_o           = run_q;
  assign array_valid_o   = array_valid_q;
  assign array_index_o   = index_q;
  assign array_work_o    = work_q;
  assign done_o          = done_q;
  assign working_o       = !work_ready_o;
  assign waits_o         = state_q == StateTiles && !value_turn && !room;

  `TANDEM_INVARIANT(INV_STREAM_1, used_q <= WordAddressBits'(Words))
  `TANDEM_INVARIANT(INV_STREAM_2, !released_i || owed_q[oldest_q] != '0)
  `TANDEM_INVARIANT(INV_STREAM_3, state_q != StatePlace || owed_q[newest_q] == '0)
  `TANDEM_INVARIANT(INV_STREAM_4,
                    !(written_i.valid && written_i.region == RegionResident) || unwritten_q != '0)
  `TANDEM_INVARIANT(INV_STREAM_5, !(started_i.valid || refused_i.valid) || state_q == StateAnswer)

endmodule : stream_sequencer
