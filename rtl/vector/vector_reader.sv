// SPDX-License-Identifier: Apache-2.0
// Asks for the words of a vector command, ahead of need, in the order in which the sequencer takes them: up to 16 words to a
// request, a request per cycle. Words for the side (what is kept for a while: weights, the first of two operands, row numbers)
// come one request at a time, each ahead of the main words that it is used with. The first request is there 2 cycles after
// the command was taken.
`include "tandem_assert.svh"

module vector_reader
  import tandem_pkg::*;
#(
  localparam int unsigned RequestWords = 16,  // most of a request
  localparam int unsigned RunBits      = 16,  // of the words of a row of a table
  localparam int unsigned LeftBits     = 23   // of the words of a command
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  logic                                        start_i,          // work_i is taken
  input  logic                            [7:0][63:0] work_i,
  input  logic                                        numbers_valid_i,  // Embed: the row numbers have come
  input  logic                [VectorUnits-1:0][31:0] numbers_i,
  output logic                                        beyond_o,         // one of them is beyond the table
  output read_request_t                               request_o,
  input  logic                                        request_ready_i
);

  logic                 [LineBits-1:0] side_line_d, side_line_q;  // of the next request to the side
  logic                 [LineBits-1:0] main_line_d, main_line_q;  // of the next other one
  logic                 [LeftBits-1:0] side_left_d, side_left_q;  // words that are not asked for
  logic                 [LeftBits-1:0] main_left_d, main_left_q;  // also: of the row of a table
  logic                          [3:0] parts_d, parts_q;          // other requests to one to the side
  logic                          [3:0] part_d, part_q;            // until the next to the side
  logic                          [3:0] runs_d, runs_q;            // rows of a table that have not begun
  logic                  [RunBits-1:0] run_words_d, run_words_q;  // words of one
  logic                 [LineBits-1:0] table_d, table_q;          // where it begins
  logic [VectorUnits-1:0][FeatureBits-1:0] numbers_d, numbers_q;  // which rows; 0 is next
  logic                                waits_d, waits_q;          // for the row numbers
  logic              [FeatureBits-1:0] count_d, count_q;          // rows of the table
  logic                                beyond_d, beyond_q;
  read_request_t                       request_d, request_q;

  command_head_t   head;
  command_source_t source, second;
  command_shape_t  shape;
  assign head   = work_i[0];
  assign source = work_i[1];
  assign second = work_i[4];
  assign shape  = work_i[3];
  logic unused_work;
  assign unused_work = ^{work_i, head, source, second, shape, numbers_i};

  logic [LineBits-1:0] source_line, second_line;
  logic [LeftBits-1:0] groups, head_words, row_words, count_words, heads_words;
  assign source_line = source.address[$clog2(AxiBytes)+:LineBits];
  assign second_line = second.address[$clog2(AxiBytes)+:LineBits];
  assign groups      = LeftBits'(shape.length[FeatureBits-1:4]);
  assign head_words  = head.flags.wide ? LeftBits'(HeadWords) : LeftBits'(HeadWords / 2);
  assign row_words   = groups * LeftBits'(head.rows[3:0]);
  assign count_words = (LeftBits'(shape.count[FeatureBits-1:4]) + LeftBits'(shape.count[3:0] != '0)) *
                       LeftBits'(head.rows[3:0]);
  assign heads_words = LeftBits'(shape.count[15:0]) * LeftBits'(head.rows[3:0]) * head_words;

  logic                free, side, next_run;
  logic [LeftBits-1:0] left;
  logic          [4:0] words;
  assign free     = !request_q.valid || request_ready_i;
  assign side     = part_q == '0 && side_left_q != '0;
  assign left     = side ? side_left_q : main_left_q;
  assign words    = left > LeftBits'(RequestWords) ? 5'(RequestWords) : left[4:0];
  assign next_run = side_left_q == '0 && main_left_q == '0 && runs_q != '0 && !waits_q;

  always_comb begin
    side_line_d = side_line_q;
    main_line_d = main_line_q;
    side_left_d = side_left_q;
    main_left_d = main_left_q;
    parts_d     = parts_q;
    part_d      = part_q;
    runs_d      = runs_q;
    run_words_d = run_words_q;
    table_d     = table_q;
    numbers_d   = numbers_q;
    waits_d     = waits_q;
    count_d     = count_q;
    beyond_d    = beyond_q;
    request_d   = request_q;

    if (free) begin
      request_d.valid = left != '0;
      if (left != '0) begin
        request_d.address = {side ? side_line_q : main_line_q, ($clog2(AxiBytes))'(0)};
        request_d.words   = 16'(words);
      end
      if (side) begin
        side_line_d = side_line_q + LineBits'(words);
        side_left_d = side_left_q - LeftBits'(words);
        part_d      = parts_q;
      end else begin
        main_line_d = main_line_q + LineBits'(words);
        main_left_d = main_left_q - LeftBits'(words);
        if (part_q != '0 && left != '0) part_d = part_q - 1'b1;
      end
    end
    if (next_run) begin
      main_line_d = table_q + LineBits'(numbers_q[0]) * LineBits'(run_words_q);
      main_left_d = LeftBits'(run_words_q);
      runs_d      = runs_q - 1'b1;
      numbers_d   = {FeatureBits'(0), numbers_q[VectorUnits-1:1]};
    end
    if (numbers_valid_i) begin
      waits_d = 1'b0;
      for (int unsigned r = 0; r < VectorUnits; r++) begin
        numbers_d[r] = numbers_i[r][FeatureBits-1:0];
        if (numbers_i[r] >= 32'(count_q)) begin
          numbers_d[r] = '0;
          if (r < 32'(runs_q)) beyond_d = 1'b1;
        end
      end
    end
    if (start_i) begin
      side_line_d = second_line;
      main_line_d = source_line;
      side_left_d = '0;
      main_left_d = row_words;
      parts_d     = 4'd1;
      part_d      = '0;
      runs_d      = '0;
      run_words_d = RunBits'(groups);
      table_d     = second_line;
      waits_d     = 1'b0;
      count_d     = shape.count[FeatureBits-1:0];
      beyond_d    = 1'b0;
      for (int unsigned r = 0; r < VectorUnits; r++) numbers_d[r] = work_i[4+r/2][32*(r%2)+:FeatureBits];
      case (head.opcode)
        8'(OpcodeEmbed): begin
          side_line_d = source_line;
          side_left_d = LeftBits'(1);
          main_left_d = '0;
          runs_d      = head.rows[3:0];
          waits_d     = 1'b1;
        end
        8'(OpcodeAdd), 8'(OpcodeGate): begin
          side_line_d = source_line;
          main_line_d = second_line;
          side_left_d = row_words;
        end
        8'(OpcodeNorm): begin
          side_left_d = groups;
          parts_d     = head.rows[3:0];
        end
        8'(OpcodeAngles): begin
          main_left_d = '0;
          runs_d      = head.rows[3:0];
          run_words_d = RunBits'(head_words);
          table_d     = source_line;
        end
        8'(OpcodeHeads): begin
          side_left_d = head_words;
          main_left_d = heads_words;
        end
        8'(OpcodeQuantise): main_left_d = head_words * LeftBits'(head.rows[3:0]);
        default:            main_left_d = count_words;  // Argmax
      endcase
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      side_line_q <= '0;
      main_line_q <= '0;
      side_left_q <= '0;
      main_left_q <= '0;
      parts_q     <= '0;
      part_q      <= '0;
      runs_q      <= '0;
      run_words_q <= '0;
      table_q     <= '0;
      numbers_q   <= '0;
      waits_q     <= '0;
      count_q     <= '0;
      beyond_q    <= '0;
      request_q   <= '0;
    end else begin
      side_line_q <= side_line_d;
      main_line_q <= main_line_d;
      side_left_q <= side_left_d;
      main_left_q <= main_left_d;
      parts_q     <= parts_d;
      part_q      <= part_d;
      runs_q      <= runs_d;
      run_words_q <= run_words_d;
      table_q     <= table_d;
      numbers_q   <= numbers_d;
      waits_q     <= waits_d;
      count_q     <= count_d;
      beyond_q    <= beyond_d;
      request_q   <= request_d;
    end
  end

  assign beyond_o  = beyond_q;
  assign request_o = request_q;

  `TANDEM_INVARIANT(INV_VREADER_1, !start_i || (!request_q.valid && side_left_q == '0 && main_left_q == '0 &&
                    runs_q == '0))
  `TANDEM_INVARIANT(INV_VREADER_2, !numbers_valid_i || waits_q)

endmodule : vector_reader
