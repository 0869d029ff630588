// SPDX-License-Identifier: Apache-2.0
// Carries out Append: reads the records of new tokens and writes their elements and scales where they belong in the
// tiles of K and V, a write of one word with strobes each, at most one per cycle. The records are asked for 1 cycle after the
// command is taken, 16 at a time, ahead of need; a write is offered 1 cycle after its word has come. Words that it has
// to write from wait at the reader, so nothing is kept of them here.
`include "tandem_assert.svh"

module appender
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,                // 1 or 2
  localparam int unsigned RequestTokens   = 16,   // records of one request
  localparam int unsigned Slots           = 2,    // writes that can be offered
  localparam int unsigned OutstandingBits = 7,    // of the number of writes without a response
  localparam int unsigned OffsetBits      = 9,    // of a word's number in a tile
  localparam int unsigned HalfBytes       = AxiBytes / 2
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              work_valid_i,
  input  logic       [CommandIndexBits-1:0] work_index_i,
  input  logic                  [7:0][63:0] work_i,
  output logic                              work_ready_o,
  output read_request_t                     request_o,
  input  logic                              request_ready_i,
  input  read_word_t                        word_i,
  input  logic          [AxiBytes-1:0][7:0] data_i,
  output logic                              word_ready_o,
  output write_request_t                    write_request_o,
  input  logic                              write_request_ready_i,
  output logic                              write_valid_o,
  output logic               [AxiBytes-1:0] write_strobe_o,
  output logic          [AxiBytes-1:0][7:0] write_data_o,
  input  logic                              write_ready_i,
  input  write_done_t                       write_done_i,
  output done_t                             done_o,
  input  logic                              done_ready_i,
  output activity_t                         activity_o
);

  logic                                 busy_d, busy_q;                // from the command to its end
  logic                                 int8_d, int8_q;
  logic                           [1:0] parts_last_d, parts_last_q;    // H, less one
  logic                                 paired_d, paired_q;            // G is 2
  logic                          [15:0] ask_d, ask_q;                  // records beyond the request
  logic                                 five_d, five_q;                // a record has five words, not three
  logic                          [15:0] left_d, left_q;                // tokens that are not written
  logic                  [LineBits-1:0] tile_d, tile_q;                // first word of memory of the tile
  logic                           [5:0] place_d, place_q;              // token of the tile
  logic                                 scale_d, scale_q;              // the word holds scales, else elements
  logic                                 value_d, value_q;              // of V is written next, else of K
  logic                           [1:0] part_d, part_q;                // and which part
  logic                                 failed_d, failed_q;            // a word was refused
  logic                                 write_failed_d, write_failed_q;
  logic           [OutstandingBits-1:0] outstanding_d, outstanding_q;  // writes without a response
  logic                                 push_d, push_q;                // slot of the next write
  logic                                 ask_slot_d, ask_slot_q;        // of the next request
  logic                                 give_slot_d, give_slot_q;      // of the next data
  logic                     [Slots-1:0] asking_d, asking_q;            // by slot: its request is to be made
  logic                     [Slots-1:0] giving_d, giving_q;            // by slot: its data are to be given
  logic       [Slots-1:0][LineBits-1:0] line_d, line_q;
  logic       [Slots-1:0][AxiBytes-1:0] strobe_d, strobe_q;
  logic  [Slots-1:0][AxiBytes-1:0][7:0] data_d, data_q;
  read_request_t                        request_d, request_q;
  done_t                                done_d, done_q;
  activity_t                            activity_d, activity_q;

  command_head_t        head;
  command_source_t      source;
  command_destination_t destination;
  command_shape_t       shape;
  assign head        = work_i[0];
  assign source      = work_i[1];
  assign destination = work_i[2];
  assign shape       = work_i[3];
  logic unused_work;
  assign unused_work = ^{work_i, head, source, destination, shape};

  // log2 of H. Not two shifts of one bit each: Verilator 5.048 adds their distances in one bit.
  function automatic logic [1:0] parts_log2(input logic [1:0] parts_last);
    return {parts_last[1], parts_last[0] && !parts_last[1]};
  endfunction

  // Words of memory that so many tiles take.
  function automatic logic [LineBits-1:0] tile_lines(input logic [LineBits-1:0] tiles, input logic int8,
                                                     input logic [1:0] parts_last);
    logic [LineBits-1:0] words;
    words = ((tiles << 6) + (int8 ? tiles << 1 : tiles << 2)) << parts_log2(parts_last);
    return Segments == 1 ? words >> 1 : words;
  endfunction

  // Words of so many records.
  function automatic logic [15:0] record_words(input logic [15:0] records, input logic five);
    return (five ? records << 2 : records << 1) + records;
  endfunction

  // One write of a record: elements of a part first, of K and then of V, then their scales.
  logic       free, step, issue, parts_end, word_ends, record_ends, tile_ends;
  logic       whole;  // a part's elements fill a word of memory
  logic [4:0] beat;
  assign whole        = Segments == 2 && !paired_q;
  assign beat         = place_q[4:0];
  assign free         = !asking_q[push_q] && !giving_q[push_q];
  assign step         = word_i.valid && left_q != '0 && free;
  assign issue        = step && !word_i.error && !failed_q;
  assign parts_end    = part_q == parts_last_q;
  assign record_ends  = scale_q && value_q && parts_end;
  assign word_ends    = scale_q ? record_ends : whole || part_q[0] || parts_end;
  assign tile_ends    = beat == '1 && (place_q[5] || !paired_q);
  assign word_ready_o = left_q != '0 && free && word_ends;

  // Word of the tile, as the array takes it.
  logic [OffsetBits-1:0] part_index, scale_offset, element_offset, offset;
  logic                  half;  // of the word of memory
  always_comb begin
    part_index     = (OffsetBits'(value_q) << parts_log2(parts_last_q)) + OffsetBits'(part_q);
    scale_offset   = int8_q ? part_index : {part_index[OffsetBits-2:0], beat[4]};
    element_offset = (int8_q ? OffsetBits'(2) : OffsetBits'(4)) << parts_log2(parts_last_q);
    element_offset = element_offset + {part_index[OffsetBits-6:0], beat};
    offset         = scale_q ? scale_offset : element_offset;
    half           = Segments == 1 ? offset[0] : place_q[5];
  end

  // Its bytes. What is not written repeats what is.
  logic [AxiBytes-1:0][7:0] elements, scales;
  logic          [3:0][7:0] codes;  // of K or of V
  logic     [HalfBytes-1:0] half_strobe;
  assign codes = value_q ? data_i[11:8] : data_i[3:0];
  always_comb begin
    elements = data_i;
    if (!whole) begin
      elements = {2{part_q[0] ? data_i[AxiBytes-1:HalfBytes] : data_i[HalfBytes-1:0]}};
    end
    for (int unsigned i = 0; i < AxiBytes; i++) begin
      logic [1:0] unit;
      unit      = whole ? {part_q[0], 1'(i / HalfBytes)} : part_q;
      scales[i] = codes[int8_q ? unit : {unit[0], 1'(i)}];
    end
    half_strobe = '1;
    if (scale_q) half_strobe = int8_q ? HalfBytes'(1) << beat : HalfBytes'(3) << {beat[3:0], 1'b0};
  end

  always_comb begin
    busy_d         = busy_q;
    int8_d         = int8_q;
    parts_last_d   = parts_last_q;
    paired_d       = paired_q;
    five_d         = five_q;
    left_d         = left_q;
    tile_d         = tile_q;
    place_d        = place_q;
    scale_d        = scale_q;
    value_d        = value_q;
    part_d         = part_q;
    failed_d       = failed_q;
    write_failed_d = write_failed_q || (write_done_i.valid && write_done_i.error);

    if (step) begin
      failed_d = failed_q || word_i.error;
      part_d   = parts_end ? '0 : part_q + 1'b1;
      value_d  = value_q ^ parts_end;
      scale_d  = scale_q ^ (value_q && parts_end);
      if (record_ends) begin
        left_d  = left_q - 1'b1;
        place_d = tile_ends ? '0 : place_q + 1'b1;
        if (tile_ends) tile_d = tile_q + tile_lines(LineBits'(1), int8_q, parts_last_q);
      end
    end
    if (done_o.valid && done_ready_i) busy_d = 1'b0;
    if (work_valid_i && work_ready_o) begin
      busy_d         = 1'b1;
      int8_d         = head.flags.int8;
      parts_last_d   = 2'(head_parts(Segments, head.flags.int8, head.flags.wide) - 1);
      paired_d       = head_groups(Segments, head.flags.int8, head.flags.wide) == 2;
      five_d         = head.flags.int8 && head.flags.wide;
      left_d         = shape.count[15:0];
      tile_d         = LineBits'(shape.length[PositionBits-1:5] >> paired_d);
      tile_d         = LineBits'(destination.address >> $clog2(AxiBytes)) +
                       tile_lines(tile_d, int8_d, parts_last_d);
      place_d        = {paired_d && shape.length[5], shape.length[4:0]};
      scale_d        = 1'b0;
      value_d        = 1'b0;
      part_d         = '0;
      failed_d       = 1'b0;
      write_failed_d = 1'b0;
    end
  end

  // Records follow each other in memory.
  logic [15:0] ask;  // to be asked for, the next request included
  assign ask = work_ready_o ? shape.count[15:0] : ask_q;
  always_comb begin
    ask_d     = ask_q;
    request_d = request_q;
    if (request_o.valid && request_ready_i) begin
      request_d.valid   = ask_q != '0;
      request_d.address = request_q.address + (AxiAddressBits'(request_q.words) << $clog2(AxiBytes));
    end
    if (work_valid_i && work_ready_o) begin
      request_d.valid   = 1'b1;
      request_d.address = AxiAddressBits'(source.address);
    end
    if ((work_valid_i && work_ready_o) || (request_o.valid && request_ready_i)) begin
      ask_d           = ask > 16'(RequestTokens) ? ask - 16'(RequestTokens) : '0;
      request_d.words = record_words(ask - ask_d, five_d);
    end
  end

  // Requests and data of the slots are taken each on their own.
  logic ask_taken, give_taken;
  assign ask_taken  = write_request_o.valid && write_request_ready_i;
  assign give_taken = write_valid_o && write_ready_i;
  always_comb begin
    push_d      = push_q ^ issue;
    ask_slot_d  = ask_slot_q ^ ask_taken;
    give_slot_d = give_slot_q ^ give_taken;
    asking_d    = asking_q;
    giving_d    = giving_q;
    line_d      = line_q;
    strobe_d    = strobe_q;
    data_d      = data_q;
    if (ask_taken) asking_d[ask_slot_q] = 1'b0;
    if (give_taken) giving_d[give_slot_q] = 1'b0;
    if (issue) begin
      asking_d[push_q] = 1'b1;
      giving_d[push_q] = 1'b1;
      line_d[push_q]   = tile_q + LineBits'(offset >> (Segments == 1 ? 1 : 0));
      strobe_d[push_q] = {half_strobe, half_strobe};
      if (!whole) strobe_d[push_q] = half ? {half_strobe, HalfBytes'(0)} : {HalfBytes'(0), half_strobe};
      data_d[push_q]   = scale_q ? scales : elements;
    end
    outstanding_d = outstanding_q + OutstandingBits'(ask_taken) - OutstandingBits'(write_done_i.valid);
  end

  logic ends;
  assign ends = busy_q && !done_q.valid && left_q == '0 && giving_q == '0 && asking_q == '0 &&
                outstanding_q == '0;
  always_comb begin
    done_d = done_q;
    if (done_ready_i) done_d.valid = 1'b0;
    if (ends) begin
      done_d.valid  = 1'b1;
      done_d.status = 8'(StatusDone);
      if (write_failed_q) done_d.status = 8'(StatusWriteError);
      if (failed_q) done_d.status = 8'(StatusReadError);
    end
    if (work_valid_i && work_ready_o) begin
      done_d = '{
        valid: 1'b0,
        status: '0,
        notify: head.flags.notify,
        tokens: head.signal_tokens,
        index: work_index_i
      };
    end
  end

  assign activity_d = '{
    busy: busy_q,
    starved: left_q != '0 && free && !word_i.valid,
    blocked: busy_q && (left_q == '0 || !free),
    index: done_q.index
  };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q         <= '0;
      int8_q         <= '0;
      parts_last_q   <= '0;
      paired_q       <= '0;
      ask_q          <= '0;
      five_q         <= '0;
      left_q         <= '0;
      tile_q         <= '0;
      place_q        <= '0;
      scale_q        <= '0;
      value_q        <= '0;
      part_q         <= '0;
      failed_q       <= '0;
      write_failed_q <= '0;
      outstanding_q  <= '0;
      push_q         <= '0;
      ask_slot_q     <= '0;
      give_slot_q    <= '0;
      asking_q       <= '0;
      giving_q       <= '0;
      line_q         <= '0;
      strobe_q       <= '0;
      data_q         <= '0;
      request_q      <= '0;
      done_q         <= '0;
      activity_q     <= '0;
    end else begin
      busy_q         <= busy_d;
      int8_q         <= int8_d;
      parts_last_q   <= parts_last_d;
      paired_q       <= paired_d;
      ask_q          <= ask_d;
      five_q         <= five_d;
      left_q         <= left_d;
      tile_q         <= tile_d;
      place_q        <= place_d;
      scale_q        <= scale_d;
      value_q        <= value_d;
      part_q         <= part_d;
      failed_q       <= failed_d;
      write_failed_q <= write_failed_d;
      outstanding_q  <= outstanding_d;
      push_q         <= push_d;
      ask_slot_q     <= ask_slot_d;
      give_slot_q    <= give_slot_d;
      asking_q       <= asking_d;
      giving_q       <= giving_d;
      line_q         <= line_d;
      strobe_q       <= strobe_d;
      data_q         <= data_d;
      request_q      <= request_d;
      done_q         <= done_d;
      activity_q     <= activity_d;
    end
  end

  assign work_ready_o    = !busy_q;
  assign request_o       = request_q;
  assign write_request_o = '{
    valid: asking_q[ask_slot_q] && outstanding_q != '1,
    address: {line_q[ask_slot_q], ($clog2(AxiBytes))'(0)},
    words: 8'd1
  };
  assign write_valid_o   = giving_q[give_slot_q];
  assign write_strobe_o  = strobe_q[give_slot_q];
  assign write_data_o    = data_q[give_slot_q];
  assign done_o          = done_q;
  assign activity_o      = activity_q;

  `TANDEM_INVARIANT(INV_APPENDER_1, !work_valid_i || (work_i[0][7:0] == 8'(OpcodeAppend) &&
                    work_i[1][5:0] == '0 && work_i[2][5:0] == '0 && work_i[3][15:0] != '0 &&
                    work_i[3][31:16] == '0))
  `TANDEM_INVARIANT(INV_APPENDER_2, !work_valid_i ||
                    33'(work_i[3][63:32]) + 33'(work_i[3][31:0]) <= 33'(2 ** PositionBits))
  `TANDEM_INVARIANT(INV_APPENDER_3, !word_i.valid || left_q != '0)
  `TANDEM_INVARIANT(INV_APPENDER_4, !word_i.valid || ((!word_i.first || !(scale_q || value_q)) &&
                    (!word_i.last || scale_q)))
  `TANDEM_INVARIANT(INV_APPENDER_5, !write_done_i.valid || outstanding_q != '0)

endmodule : appender
