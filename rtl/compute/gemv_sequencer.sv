// SPDX-License-Identifier: Apache-2.0
// Makes beats of the words of W, one word a cycle, as the rules of the array's schedule allow
// (docs/blocks/systolic_array.md), and loads x beside them. A word that is taken in cycle t is a beat in t + 1, or
// scales for those that follow. A load of x is asked for in `feed_o`, and enters the array FeedLatency cycles later.
// Jobs follow each other without a bubble: x of the next chunk is loaded while the one before it streams.
`include "tandem_assert.svh"

module gemv_sequencer
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned Columns    = Segments * SegmentLanes / 8,
  localparam int unsigned ScaleWords = PsumSlots / GroupFloats,
  localparam int unsigned Spacing    = 2 * Segments * FloatLatency + 1  // rule 4
) (
  input  logic                                             clk_i,
  input  logic                                             rst_ni,
  input  gemv_t                                            gemv_i,
  output logic                                             gemv_ready_o,
  input  logic                                             weight_valid_i,
  input  logic       [Segments*SegmentLanes-1:0][7:0]      weight_i,
  input  logic                                             weight_fault_i,  // this word could not be read
  output logic                                             weight_ready_o,
  input  logic                                             room_i,     // for the results of one more tile
  output logic       [2:0]                                 reserve_o,  // groups of them that are taken
  output feed_tag_t                                        feed_o,
  output beat_t                                            beat_o,
  output lane_byte_t [Segments-1:0]                        scales_o,
  output logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_o,
  output logic                                             fault_o,    // a word of the job could not be read
  output logic                                             job_end_o,  // with its last beat
  output logic                                             busy_o,
  output logic                                             starved_o,
  output logic                                             blocked_o
);

  // What is issued.
  typedef struct packed {
    logic                   valid;
    logic                   int8;
    logic [FeatureBits-1:0] left;  // features, those of the tile included
    logic             [6:0] chunks_last;
  } issue_t;

  // What is loaded.
  typedef struct packed {
    logic                   valid;
    logic [FeatureBits-1:0] left;
    logic             [6:0] chunks_last;
    logic             [6:0] operand;
  } loader_t;

  typedef struct packed {
    logic       load;
    logic       bank;
    logic [5:0] count;
  } load_slot_t;

  gemv_t                next_d, next_q;          // taken ahead
  logic                 handed_d, handed_q;      // its x is being loaded
  issue_t               issue_d, issue_q;
  logic           [6:0] chunk_d, chunk_q;        // of the tile
  logic                 beats_d, beats_q;        // the chunk's scales are here
  logic           [5:0] index_d, index_q;        // of the word: among the scales, or the feature
  logic                 bank_d, bank_q;          // of the chunk's x
  logic           [5:0] since_d, since_q;        // slots since the last beat of the chunk before
  logic                 reserved_d, reserved_q;  // there is room for the tile's results
  logic           [2:0] reserve_d, reserve_q;
  loader_t              loader_d, loader_q;
  logic           [6:0] load_chunk_d, load_chunk_q;
  logic           [5:0] load_count_d, load_count_q;
  logic                 load_bank_d, load_bank_q;
  logic           [1:0] filled_d, filled_q;      // banks whose load is decided, up to their last use
  logic           [1:0] loaded_d, loaded_q;      // banks that beats may use
  feed_tag_t            feed_d, feed_q;
  beat_t                beat_d, beat_q;
  lane_byte_t [Segments-1:0]                        scales_d, scales_q;
  logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_d, elements_q;
  logic                 fault_d, fault_q;
  logic                 job_end_d, job_end_q;
  logic                 busy_d, busy_q;
  logic                 starved_d, starved_q;
  logic                 blocked_d, blocked_q;

  load_slot_t load_slot, load_late;

  // ---- the word ----
  logic [5:0] tile_last, index_last;  // less one
  logic       tiles_end, chunks_end, spaced, may_issue, word, issue, chunk_ends, job_ends;
  always_comb begin
    tiles_end  = issue_q.left <= FeatureBits'(PsumSlots);
    tile_last  = tiles_end ? 6'(issue_q.left) - 1'b1 : 6'(PsumSlots - 1);
    chunks_end = chunk_q == issue_q.chunks_last;
    index_last = beats_q ? tile_last : issue_q.int8 ? 6'(tile_last[5]) : 6'(tile_last[5:4]);
    // A full chunk without bubbles takes tile_last slots from its first beat to its last.
    spaced     = chunk_q == '0 || 7'(since_q) + 7'(tile_last) >= 7'(Spacing);
    may_issue  = loaded_q[bank_q] && spaced && (!chunks_end || reserved_q);
    word       = weight_valid_i && weight_ready_o;
    issue      = word && beats_q;
    chunk_ends = issue && index_q == index_last;
    job_ends   = chunk_ends && chunks_end && tiles_end;
  end
  assign weight_ready_o = issue_q.valid && (!beats_q || may_issue);

  always_comb begin
    issue_d    = issue_q;
    chunk_d    = chunk_q;
    beats_d    = beats_q;
    index_d    = index_q;
    bank_d     = bank_q;
    since_d    = since_q == 6'(Spacing) ? since_q : since_q + 1'b1;
    reserved_d = reserved_q;
    reserve_d  = '0;
    // What was taken in the cycle before is not yet missing in room_i.
    if (issue_q.valid && chunks_end && !reserved_q && room_i && reserve_q == '0) begin
      reserved_d = 1'b1;
      reserve_d  = 3'(tile_last[5:4]) + 1'b1;
    end
    if (word) begin
      index_d = index_q + 1'b1;
      if (index_q == index_last) begin
        index_d = '0;
        beats_d = !beats_q;
      end
    end
    if (chunk_ends) begin
      chunk_d = chunk_q + 1'b1;
      since_d = 6'd1;
      if (chunks_end) begin
        chunk_d       = '0;
        reserved_d    = 1'b0;
        issue_d.left  = issue_q.left - FeatureBits'(PsumSlots);
        issue_d.valid = !tiles_end;
      end
      // x of a single chunk serves all tiles.
      if (issue_q.chunks_last != '0 || tiles_end) bank_d = !bank_q;
    end
    if (issue_takes) begin
      issue_d = '{valid: 1'b1, int8: next_q.int8, left: next_q.features, chunks_last: next_q.chunks_last};
    end
  end

  // ---- x ----
  logic load, load_end, load_job_ends, load_takes, issue_takes;
  always_comb begin
    load          = loader_q.valid && !filled_q[load_bank_q];
    load_end      = load && load_count_q == 6'(SegmentLanes);
    load_job_ends = load_end && load_chunk_q == loader_q.chunks_last &&
                    (loader_q.chunks_last == '0 || loader_q.left <= FeatureBits'(PsumSlots));
    load_takes    = next_q.valid && !handed_q && (!loader_q.valid || load_job_ends);
    issue_takes   = next_q.valid && (!issue_q.valid || job_ends);
  end

  always_comb begin
    next_d   = next_q;
    handed_d = (handed_q || load_takes) && !issue_takes;
    if (issue_takes) next_d.valid = 1'b0;
    if (gemv_i.valid && !next_q.valid) next_d = gemv_i;

    loader_d     = loader_q;
    load_chunk_d = load_chunk_q;
    load_count_d = load_count_q;
    load_bank_d  = load_bank_q;
    filled_d     = filled_q;
    loaded_d     = loaded_q;
    if (load) load_count_d = load_count_q + 1'b1;
    if (load_end) begin
      load_count_d          = '0;
      load_bank_d           = !load_bank_q;
      filled_d[load_bank_q] = 1'b1;
      load_chunk_d          = load_chunk_q + 1'b1;
      if (load_chunk_q == loader_q.chunks_last) begin
        load_chunk_d  = '0;
        loader_d.left = loader_q.left - FeatureBits'(PsumSlots);
      end
    end
    if (load_job_ends) loader_d.valid = 1'b0;
    if (load_takes) begin
      loader_d = '{valid: 1'b1, left: next_q.features, chunks_last: next_q.chunks_last,
                   operand: next_q.operand};
    end
    // The last load enters the array in the next cycle, a beat of the cycle after it may use it.
    if (load_late.load && load_late.count == 6'(SegmentLanes)) loaded_d[load_late.bank] = 1'b1;
    if (chunk_ends && bank_d != bank_q) begin
      filled_d[bank_q] = 1'b0;
      loaded_d[bank_q] = 1'b0;
    end

    load_slot = load ? '{load: 1'b1, bank: load_bank_q, count: load_count_q} : '0;
    feed_d    = '0;
    if (load) begin
      feed_d.load       = 1'b1;
      feed_d.load_chunk = loader_q.operand + load_chunk_q;
      feed_d.load_count = load_count_q;
    end
  end

  delay_line #(
    .Width($bits(load_slot_t)),
    .Depth(FeedLatency)
  ) u_late (
    .clk_i,
    .rst_ni,
    .data_i(load_slot),
    .data_o(load_late)
  );

  // ---- the beat ----
  always_comb begin
    beat_d = '0;
    if (load_late.load) begin
      beat_d.pe.load       = 1'b1;
      beat_d.pe.load_bank  = load_late.bank;
      beat_d.pe.load_count = load_late.count;
    end
    if (issue) begin
      beat_d.pe.mode             = ModeGemv;
      beat_d.pe.bank             = bank_q;
      beat_d.segment.int8        = issue_q.int8;
      beat_d.segment.bank        = bank_q;
      beat_d.segment.group_log2  = 2'($clog2(Segments));
      beat_d.segment.slot        = index_q;
      beat_d.segment.partial_in  = chunk_q != '0;
      beat_d.segment.partial_out = !chunks_end;
    end
    elements_d = issue ? weight_i : '0;
    fault_d    = word && weight_fault_i;
    job_end_d  = job_ends;
    busy_d     = issue_q.valid || next_q.valid;
    starved_d  = weight_ready_o && !weight_valid_i;
    blocked_d  = issue_q.valid && beats_q && chunks_end && !reserved_q;
  end

  // Scales of a chunk, in columns of eight bytes. The word is the feature's upper bits, the place in it the lower.
  logic [Columns-1:0][63:0] columns, scale_words;
  logic [1:0]               scale_entry;
  assign columns     = weight_i;
  assign scale_entry = issue_q.int8 ? 2'(index_q[5]) : index_q[5:4];

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] scale_q[ScaleWords];
    always_ff @(posedge clk_i) begin
      if (word && !beats_q && rst_ni) scale_q[index_q[1:0]] <= columns[c];
    end
    assign scale_words[c] = scale_q[scale_entry];
  end

  logic [Segments-1:0][15:0][1:0][7:0] pairs;
  logic [Segments-1:0][31:0][7:0]      bytes;
  assign pairs = scale_words;
  assign bytes = scale_words;
  always_comb begin
    scales_d = '0;
    if (issue) begin
      for (int unsigned s = 0; s < Segments; s++) begin
        scales_d[s] = issue_q.int8 ? '{hi: '0, lo: bytes[s][index_q[4:0]]} : pairs[s][index_q[3:0]];
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      next_q       <= '0;
      handed_q     <= '0;
      issue_q      <= '0;
      chunk_q      <= '0;
      beats_q      <= '0;
      index_q      <= '0;
      bank_q       <= '0;
      since_q      <= '0;
      reserved_q   <= '0;
      reserve_q    <= '0;
      loader_q     <= '0;
      load_chunk_q <= '0;
      load_count_q <= '0;
      load_bank_q  <= '0;
      filled_q     <= '0;
      loaded_q     <= '0;
      feed_q       <= '0;
      beat_q       <= '0;
      scales_q     <= '0;
      elements_q   <= '0;
      fault_q      <= '0;
      job_end_q    <= '0;
      busy_q       <= '0;
      starved_q    <= '0;
      blocked_q    <= '0;
    end else begin
      next_q       <= next_d;
      handed_q     <= handed_d;
      issue_q      <= issue_d;
      chunk_q      <= chunk_d;
      beats_q      <= beats_d;
      index_q      <= index_d;
      bank_q       <= bank_d;
      since_q      <= since_d;
      reserved_q   <= reserved_d;
      reserve_q    <= reserve_d;
      loader_q     <= loader_d;
      load_chunk_q <= load_chunk_d;
      load_count_q <= load_count_d;
      load_bank_q  <= load_bank_d;
      filled_q     <= filled_d;
      loaded_q     <= loaded_d;
      feed_q       <= feed_d;
      beat_q       <= beat_d;
      scales_q     <= scales_d;
      elements_q   <= elements_d;
      fault_q      <= fault_d;
      job_end_q    <= job_end_d;
      busy_q       <= busy_d;
      starved_q    <= starved_d;
      blocked_q    <= blocked_d;
    end
  end

  assign gemv_ready_o = !next_q.valid;
  assign reserve_o    = reserve_q;
  assign feed_o       = feed_q;
  assign beat_o       = beat_q;
  assign scales_o     = scales_q;
  assign elements_o   = elements_q;
  assign fault_o      = fault_q;
  assign job_end_o    = job_end_q;
  assign busy_o       = busy_q;
  assign starved_o    = starved_q;
  assign blocked_o    = blocked_q;

  `TANDEM_INVARIANT(INV_GEMV_1, !gemv_i.valid || gemv_i.features != '0)
  `TANDEM_INVARIANT(INV_GEMV_2, (loaded_q & ~filled_q) == '0)
  `TANDEM_INVARIANT(INV_GEMV_3, !beat_q.pe.load || beat_q.pe.mode != ModeGemv ||
                    beat_q.pe.load_bank != beat_q.pe.bank)

endmodule : gemv_sequencer
