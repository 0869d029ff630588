// SPDX-License-Identifier: Apache-2.0
// Carries out Load: reads rows of x or q, scales first, and gives them block by block to the operand files, one block
// per cycle; a word of elements brings two. What a row does not have, and what unused rows have, is given as
// zeros with scale 0, before the first element: one block per chunk for all such rows at once. The words are asked for 1
// cycle after the command is taken; a block is given 1 cycle after its word has come.
`include "tandem_assert.svh"

module operand_loader
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,                                            // 1 or 2
  localparam int unsigned Columns    = AxiBytes / 8,
  localparam int unsigned ScaleWords = 2 * Segments * OperandChunks / AxiBytes,  // of the longest row
  localparam int unsigned ScaleBits  = $clog2(ScaleWords),
  localparam int unsigned RowBits    = $clog2(MaxRows),
  localparam int unsigned ChunkBits  = $clog2(OperandChunks),
  localparam int unsigned BlockBits  = ChunkBits + 2
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
  output operand_block_t                    block_o,
  output logic      [SegmentLanes-1:0][7:0] block_data_o,   // goes with block_o
  output done_t                             done_o,
  input  logic                              done_ready_i,
  output activity_t                         activity_o
);

  logic                               busy_d, busy_q;                // from the command to its end
  logic                               int8_d, int8_q;
  logic                               grouped_d, grouped_q;
  logic               [ChunkBits-1:0] operand_d, operand_q;          // first chunk
  logic                 [RowBits-1:0] rows_last_d, rows_last_q;      // rows in use, less one
  logic               [BlockBits-1:0] blocks_last_d, blocks_last_q;  // blocks of a row, less one
  logic                               zero_d, zero_q;                // zeros are given
  logic               [ChunkBits-1:0] zero_chunk_d, zero_chunk_q;    // to this chunk, from operand_q on
  logic                 [RowBits-1:0] row_d, row_q;                  // of the next word
  logic                               elements_d, elements_q;        // it holds elements, else scales
  logic               [BlockBits-1:0] number_d, number_q;            // its first block that was not yet given
  logic                               failed_d, failed_q;            // a word was refused
  read_request_t                      request_d, request_q;
  operand_block_t                     block_d, block_q;
  logic       [SegmentLanes-1:0][7:0] block_data_d, block_data_q;
  done_t                              done_d, done_q;
  activity_t                          activity_d, activity_q;

  command_head_t head;
  command_source_t source;
  command_shape_t shape;
  assign head   = work_i[0];
  assign source = work_i[1];
  assign shape  = work_i[3];
  logic unused_work;
  assign unused_work = ^{work_i, head, source, shape};

  // Where blocks go: each of INT8, each two of FP4 to a segment, each one or two of these to a chunk.
  logic [BlockBits-1:0] unit, unit_last;
  logic [ChunkBits-1:0] chunk, chunk_last;
  logic                 spread;  // a chunk's segments have blocks of their own
  assign unit       = int8_q ? number_q : number_q >> 1;
  assign unit_last  = int8_q ? blocks_last_q : blocks_last_q >> 1;
  assign spread     = Segments == 2 && !grouped_q;
  assign chunk      = ChunkBits'(spread ? unit >> 1 : unit);
  assign chunk_last = ChunkBits'(spread ? unit_last >> 1 : unit_last);

  logic [MaxRows-1:0] rows_all, rows_unused;
  logic         [1:0] segments_all;
  assign rows_all     = MaxRows'(2 ** Rows - 1);
  assign rows_unused  = rows_all & (~MaxRows'(1) << rows_last_q);
  assign segments_all = 2'(2 ** Segments - 1);

  // Without unused rows it is the last chunk only.
  logic [ChunkBits-1:0] zero_chunk;
  assign zero_chunk = rows_unused == '0 ? chunk_last : zero_chunk_q;

  // A word stays until its last block is given.
  logic blocks_end, row_ends, step;
  assign blocks_end   = elements_q && number_q == blocks_last_q;
  assign row_ends     = row_q == rows_last_q;
  assign word_ready_o = busy_q && !done_q.valid && (!elements_q || (!zero_q && (number_q[0] || blocks_end)));
  assign step         = word_i.valid && busy_q && !done_q.valid && !(elements_q && zero_q);

  // Scales of the row.
  logic [Columns-1:0][63:0] columns;
  logic  [Columns-1:0][7:0] scale;
  logic     [ScaleBits-1:0] scale_word;
  assign columns    = data_i;
  assign scale_word = number_q[$clog2(AxiBytes)+:ScaleBits];

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [7:0][7:0] scales_q[ScaleWords];
    always_ff @(posedge clk_i) begin
      if (step && !elements_q && rst_ni) scales_q[scale_word] <= columns[c];
    end
    assign scale[c] = scales_q[scale_word][number_q[2:0]];
  end

  logic [BlockBits:0] row_words;
  assign row_words = (BlockBits + 1)'(blocks_last_d >> $clog2(AxiBytes)) + 1'b1 +
                     (BlockBits + 1)'(blocks_last_d >> 1) + 1'b1;

  always_comb begin
    busy_d        = busy_q;
    int8_d        = int8_q;
    grouped_d     = grouped_q;
    operand_d     = operand_q;
    rows_last_d   = rows_last_q;
    blocks_last_d = blocks_last_q;
    zero_d        = zero_q;
    zero_chunk_d  = zero_chunk_q;
    row_d         = row_q;
    elements_d    = elements_q;
    number_d      = number_q;
    failed_d      = failed_q;
    block_d       = block_q;
    block_data_d  = block_data_q;

    block_d.valid = 1'b0;
    if (step) begin
      failed_d = failed_q || word_i.error;
      if (elements_q) begin
        block_d = '{
          valid: 1'b1,
          rows: MaxRows'(1) << row_q,
          segments: spread ? 2'b01 << unit[0] : segments_all,
          chains: int8_q ? 2'b11 : 2'b01 << number_q[0],
          chunk: operand_q + chunk,
          scale: scale[number_q[5:3]]
        };
        block_data_d = number_q[0] ? data_i[AxiBytes-1:SegmentLanes] : data_i[SegmentLanes-1:0];
        number_d     = number_q + 1'b1;
      end else begin
        number_d = number_q + BlockBits'(AxiBytes);
      end
      if (elements_q ? blocks_end : scale_word == ScaleBits'(blocks_last_q >> $clog2(AxiBytes))) begin
        number_d   = '0;
        elements_d = !elements_q;
        row_d      = row_q + RowBits'(elements_q);
      end
    end
    // The last chunk of every row, the others of those that are not in use.
    if (zero_q) begin
      block_d = '{
        valid: 1'b1,
        rows: zero_chunk == chunk_last ? rows_all : rows_unused,
        segments: segments_all,
        chains: 2'b11,
        chunk: operand_q + zero_chunk,
        scale: '0
      };
      block_data_d = '0;
      zero_chunk_d = zero_chunk_q + 1'b1;
      zero_d       = zero_chunk != chunk_last;
    end
    if (done_o.valid && done_ready_i) busy_d = 1'b0;
    if (work_valid_i && work_ready_o) begin
      busy_d        = 1'b1;
      int8_d        = head.flags.int8;
      grouped_d     = head.flags.grouped;
      operand_d     = ChunkBits'(head.operand);
      rows_last_d   = RowBits'(head.rows - 1'b1);
      blocks_last_d = shape.length[$clog2(SegmentLanes)+:BlockBits] - 1'b1;
      zero_d        = 1'b1;
      zero_chunk_d  = '0;
      row_d         = '0;
      elements_d    = 1'b0;
      number_d      = '0;
      failed_d      = 1'b0;
    end
  end

  // Rows follow each other in memory.
  always_comb begin
    request_d = request_q;
    if (request_ready_i) request_d.valid = 1'b0;
    if (work_valid_i && work_ready_o) begin
      request_d = '{
        valid: 1'b1,
        address: AxiAddressBits'(source.address),
        words: 16'(head.rows) * 16'(row_words)
      };
    end
  end

  always_comb begin
    done_d = done_q;
    if (done_ready_i) done_d.valid = 1'b0;
    if (step && blocks_end && row_ends) begin
      done_d.valid  = 1'b1;
      done_d.status = failed_d ? 8'(StatusReadError) : 8'(StatusDone);
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
    starved: busy_q && !done_q.valid && !zero_q && !word_i.valid,
    blocked: done_q.valid,
    index: done_q.index
  };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q        <= '0;
      int8_q        <= '0;
      grouped_q     <= '0;
      operand_q     <= '0;
      rows_last_q   <= '0;
      blocks_last_q <= '0;
      zero_q        <= '0;
      zero_chunk_q  <= '0;
      row_q         <= '0;
      elements_q    <= '0;
      number_q      <= '0;
      failed_q      <= '0;
      request_q     <= '0;
      block_q       <= '0;
      block_data_q  <= '0;
      done_q        <= '0;
      activity_q    <= '0;
    end else begin
      busy_q        <= busy_d;
      int8_q        <= int8_d;
      grouped_q     <= grouped_d;
      operand_q     <= operand_d;
      rows_last_q   <= rows_last_d;
      blocks_last_q <= blocks_last_d;
      zero_q        <= zero_d;
      zero_chunk_q  <= zero_chunk_d;
      row_q         <= row_d;
      elements_q    <= elements_d;
      number_q      <= number_d;
      failed_q      <= failed_d;
      request_q     <= request_d;
      block_q       <= block_d;
      block_data_q  <= block_data_d;
      done_q        <= done_d;
      activity_q    <= activity_d;
    end
  end

  assign work_ready_o = !busy_q;
  assign request_o    = request_q;
  assign block_o      = block_q;
  assign block_data_o = block_data_q;
  assign done_o       = done_q;
  assign activity_o   = activity_q;

  `TANDEM_INVARIANT(INV_LOADER_1, !work_valid_i || (work_i[0][7:0] == 8'(OpcodeLoad) &&
                    work_i[0][23:16] != '0 && work_i[0][23:16] <= 8'(Rows) && work_i[1][5:0] == '0))
  `TANDEM_INVARIANT(INV_LOADER_2, !work_valid_i || (work_i[3][63:32] % SegmentLanes == '0 &&
                    work_i[3][63:32] != '0 &&
                    work_i[3][63:32] <= 2 * Segments * SegmentLanes * OperandChunks))
  `TANDEM_INVARIANT(INV_LOADER_3, !busy_q || 32'(operand_q) + 32'(chunk_last) < OperandChunks)
  `TANDEM_INVARIANT(INV_LOADER_4, !word_i.valid || (busy_q && !done_q.valid))
  `TANDEM_INVARIANT(INV_LOADER_5, !word_i.valid ||
                    word_i.first == (row_q == '0 && !elements_q && number_q == '0))
  `TANDEM_INVARIANT(INV_LOADER_6, !word_i.valid ||
                    word_i.last == (row_ends && elements_q && number_q >> 1 == blocks_last_q >> 1))

endmodule : operand_loader
