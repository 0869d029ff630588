// SPDX-License-Identifier: Apache-2.0
// Attention of one head after the other: banks, sequencers, array, softmax, normaliser. K and V lie in the banks, or
// are filled in tile by tile while earlier tiles are read; q is written before the head's command.
// docs/blocks/attention_engine.md has the layout of a tile and the handshakes.
`include "tandem_assert.svh"

module attention_engine
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,  // 1 or 2
  parameter int unsigned BankWords
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  // ---- commands ----
  input  command_t                                    command_i,
  input  logic       [Rows-1:0][PositionBits-1:0]     positions_i,
  input  logic       [Rows-1:0]                       rows_i,
  output logic                                        command_ready_o,
  output head_start_t                                 started_o,
  output head_info_t                                  started_info_o,  // of the head that started_o names
  output head_start_t                                 refused_o,
  // ---- stationary operands ----
  input  operand_block_t                              block_i,
  input  logic       [SegmentLanes-1:0][7:0]          block_data_i,
  input  operands_t                                   operands_i,
  // ---- K and V ----
  input  logic                                        pinned_i,  // constant while anything is in flight
  input  bank_fill_t                                  fill_i,
  input  logic       [Segments*SegmentLanes-1:0][7:0] fill_data_i,
  output logic                                        fill_ready_o,
  output bank_fill_t                                  written_o,
  output logic                                        released_o,
  // ---- GEMV ----
  input  logic                                        gemv_i,  // the array is not attention's
  input  feed_tag_t                                   gemv_feed_i,
  input  beat_t                                       gemv_beat_i,
  input  lane_byte_t [Segments-1:0]                   gemv_scales_i,
  input  logic       [Segments-1:0][SegmentLanes-1:0][7:0] gemv_elements_i,
  output result_t    [Rows-1:0]                       result_o,  // of the last segment, whose ever it is
  // ---- results ----
  input  logic                                        out_ready_i,
  output attended_t                                   attended_o,
  output logic       [Rows-1:0][31:0]                 values_o,
  output logic                                        poisoned_o,
  output head_end_t                                   head_done_o,
  // ---- flags and counters ----
  input  logic                                        clear_i,
  output attention_flags_t [Rows-1:0]                 flags_o,
  output bank_errors_t                                errors_o
);

  localparam int unsigned Blocks = 2 * chain_parts(Segments);
  localparam int unsigned Columns = Segments * SegmentLanes;

  // ---- heads ----
  head_start_t                     started, head_freed;
  head_info_t [Contexts-1:0]       heads;
  logic [Contexts-1:0][Rows-1:0]   head_rows;
  logic [Contexts-1:0][Rows-1:0][PositionBits-1:0] first_key, end_key;
  head_end_t                       head_end, head_done;

  assign head_freed.valid = head_done.valid;
  assign head_freed.head  = head_done.head;

  head_table #(
    .Rows,
    .Segments
  ) u_heads (
    .clk_i,
    .rst_ni,
    .command_i,
    .positions_i,
    .rows_i,
    .command_ready_o,
    .done_i     (head_freed),
    .started_o  (started),
    .refused_o,
    .heads_o    (heads),
    .rows_o     (head_rows),
    .first_key_o(first_key),
    .end_key_o  (end_key)
  );

  // ---- words ----
  bank_read_t                 read;
  word_tag_t                  read_tag, word_tag;
  bank_word_t                 word;
  logic [Columns-1:0][7:0]    word_data;
  logic                       beat_released, tile_done, tile_done_late;
  logic [Contexts-1:0]        operands_there;
  tile_info_t [TileSlots-1:0] tiles;

  fetch_sequencer #(
    .Segments
  ) u_fetch (
    .clk_i,
    .rst_ni,
    .started_i  (started),
    .heads_i    (heads),
    .operands_there_i(operands_there),
    .written_i  (written_o),
    .release_i  (beat_released),
    .tile_done_i(tile_done_late),
    .read_o     (read),
    .tag_o      (read_tag),
    .tiles_o    (tiles),
    .released_o
  );

  // The last segment reads V's scales that much later.
  delay_line #(
    .Width(1),
    .Depth(2 * FloatLatency * (Segments - 1) + 1)
  ) u_tile_done (
    .clk_i,
    .rst_ni,
    .data_i(tile_done),
    .data_o(tile_done_late)
  );

  bank_group #(
    .Segments,
    .BankWords
  ) u_banks (
    .clk_i,
    .rst_ni,
    .pinned_i,
    .read_i        (read),
    .word_o        (word),
    .word_data_o   (word_data),
    .fill_i,
    .fill_data_i,
    .fill_ready_o,
    .written_o,
    .clear_errors_i(clear_i),
    .errors_o
  );

  delay_line #(
    .Width($bits(word_tag_t)),
    .Depth(ReadLatency)
  ) u_word_tag (
    .clk_i,
    .rst_ni,
    .data_i(read_tag),
    .data_o(word_tag)
  );

  `TANDEM_INVARIANT(INV_ENGINE_1, word.valid == word_tag.valid)

  // Results of a head of which a word was beyond repair are marked.
  logic [Contexts-1:0] poisoned_d, poisoned_q;
  always_comb begin
    poisoned_d = poisoned_q;
    if (started.valid) poisoned_d[started.head] = 1'b0;
    if (word.valid && word.uncorrectable) poisoned_d[word_tag.head] = 1'b1;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) poisoned_q <= '0;
    else poisoned_q <= poisoned_d;
  end
  assign poisoned_o = attended_o.valid && poisoned_q[attended_o.head];

  // ---- scales and beats ----
  logic                    key_scale, value_scale, word_int8;
  logic                    word_of_k, word_is_beat;
  logic [$clog2(Blocks)-1:0] scale_word;
  lane_byte_t [Segments-1:0] key_scales, beat_scales;
  logic [Segments-1:0][SegmentLanes-1:0][7:0] elements;
  word_tag_t               beat_tag;
  beat_t                   beat, issue_beat;
  feed_tag_t               feed, issue_feed;
  lane_byte_t [Segments-1:0] issue_scales;
  logic [Segments-1:0][SegmentLanes-1:0][7:0] issue_elements;
  logic                    tile_scored, tile_scored_late;

  always_comb begin
    word_int8    = heads[word_tag.head].int8;
    key_scale    = word_tag.valid && word_tag.kind == KindKeyScale;
    value_scale  = word_tag.valid && word_tag.kind == KindValueScale;
    word_of_k    = word_tag.kind == KindKey;
    word_is_beat = word_of_k || word_tag.kind == KindValue;
    scale_word   = word_int8 ? ($clog2(Blocks))'(word_tag.part)
                             : ($clog2(Blocks))'({word_tag.part, word_tag.beat[0]});
    beat_tag       = word_tag;
    beat_tag.valid = word_tag.valid && word_is_beat;
  end

  issue_sequencer #(
    .Segments
  ) u_issue (
    .clk_i,
    .rst_ni,
    .started_i    (started),
    .heads_i      (heads),
    .operands_i,
    .tag_i        (beat_tag),
    .scales_i     (key_scales),
    .elements_i   (word_data),
    .tile_scored_i(tile_scored_late),
    .head_done_i  (head_done.valid),
    .feed_o       (issue_feed),
    .operands_there_o(operands_there),
    .head_end_o   (head_end),
    .tile_done_o  (tile_done),
    .release_o    (beat_released),
    .beat_o       (issue_beat),
    .scales_o     (issue_scales),
    .elements_o   (issue_elements)
  );

  // Who does not have the array brings zeros.
  assign feed        = issue_feed | gemv_feed_i;
  assign beat        = issue_beat | gemv_beat_i;
  assign beat_scales = issue_scales | gemv_scales_i;
  assign elements    = issue_elements | gemv_elements_i;

  // ---- array ----
  lane_byte_t [Rows-1:0][Segments-1:0]            p;
  logic       [Rows-1:0][Segments-1:0][1:0][11:0] tile_exponent;
  acc_read_t                                      acc_read;
  result_t    [Rows-1:0][Segments-1:0]            result;
  float_t     [Rows-1:0]                          acc_data;
  flags_t     [Rows-1:0]                          array_flags;

  systolic_array #(
    .Rows,
    .Segments
  ) u_array (
    .clk_i,
    .rst_ni,
    .beat_i         (beat),
    .elements_i     (elements),
    .scales_i       (beat_scales),
    .p_i            (p),
    .tile_exponent_i(tile_exponent),
    .acc_read_i     (acc_read),
    .clear_flags_i  (clear_i),
    .result_o       (result),
    .acc_data_o     (acc_data),
    .flags_o        (array_flags)
  );

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) result_o[r] = result[r][Segments-1];
  end

  // ---- softmax ----
  softmax_flags_t [Rows-1:0][Segments-1:0] softmax_flags;
  tile_sum_t      [Rows-1:0][Segments-1:0] tile_sum;
  logic           [Segments-1:0]           segment_scored;

  assign tile_scored = segment_scored[0];
  // A weight can be read Exp2Latency + 1 cycles after its score; a feed tag comes 2 after the count.
  delay_line #(
    .Width(1),
    .Depth(Exp2Latency - 1)
  ) u_tile_scored (
    .clk_i,
    .rst_ni,
    .data_i(tile_scored),
    .data_o(tile_scored_late)
  );

  for (genvar s = 0; s < Segments; s++) begin : gen_segment
    // What goes along the rows with a score, and with a feed tag.
    typedef struct packed {
      score_tag_t              tag;
      logic [1:0]              head;
      logic [PositionBits-1:0] position;
    } score_control_t;

    typedef struct packed {
      feed_tag_t  tag;
      lane_byte_t scale;
    } feed_control_t;

    // ---- scores: which tile and token row 0's result belongs to ----
    logic [1:0]              tile_d, tile_q;
    logic                    scored;
    logic [5:0]              slot;
    logic                    tile_int8, tile_wide;
    int unsigned             blocks_used;
    score_control_t          score_now;
    logic [Blocks-1:0][7:0]  score_blocks, feed_blocks;
    feed_tag_t               feed_now;
    feed_control_t           feed_row0;
    tile_info_t              tile;
    score_control_t [Rows-1:0]                  score_rows;
    logic           [Rows-1:0][Blocks-1:0][7:0] score_scales;
    feed_control_t  [Rows-1:0]                  feed_rows;

    always_comb begin
      // Slot bit 5 says that the head has groups: each group's score leaves at its own segment, else at the last.
      if (s == Segments - 1 || result[0][s].valid) begin
        scored = result[0][s].valid;
        slot   = result[0][s].slot;
      end else begin
        scored = result[0][Segments-1].valid && !result[0][Segments-1].slot[5];
        slot   = result[0][Segments-1].slot;
      end
      if (gemv_i) scored = 1'b0;
      tile        = tiles[tile_q];
      tile_int8   = heads[tile.head].int8;
      tile_wide   = heads[tile.head].wide;
      blocks_used = head_parts(Segments, tile_int8, tile_wide) << (tile_int8 ? 0 : 1);

      score_now.tag.valid = scored;
      score_now.tag.first = slot[4:0] == '0;
      score_now.tag.tile  = tile_q;
      score_now.tag.beat  = slot[4:0];
      score_now.head      = tile.head;
      score_now.position  = tile.origin + PositionBits'(slot[4:0])
                            + (slot[5] ? PositionBits'(SegmentLanes * s) : '0);
      segment_scored[s]   = scored && slot[4:0] == tile.beats_last;
      tile_d              = tile_q + 2'(segment_scored[s]);
      if (!scored) score_now = '0;
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) tile_q <= '0;
      else tile_q <= tile_d;
    end

    // ---- feed: 2 * FloatLatency cycles later per segment ----
    if (s == 0) begin : gen_first
      assign feed_now = feed;
    end else begin : gen_later
      delay_line #(
        .Width($bits(feed_tag_t)),
        .Depth(2 * FloatLatency * s)
      ) u_feed (
        .clk_i,
        .rst_ni,
        .data_i(feed),
        .data_o(feed_now)
      );
    end

    scale_file #(
      .Segments,
      .Tiles(TileSlots),
      .Reads(2)
    ) u_value_scales (
      .clk_i,
      .rst_ni,
      .write_i     (value_scale),
      .write_tile_i(word_tag.tile),
      .write_word_i(scale_word),
      .write_data_i(word_data[SegmentLanes*s +: SegmentLanes]),
      .read_int8_i ({feed_now.int8, tile_int8}),
      .read_tile_i ({feed_now.tile, tile_q}),
      .read_beat_i ({feed_now.beat, slot[4:0]}),
      .blocks_o    ({feed_blocks, score_blocks})
    );

    // Scales of K wait for their beats; the words of a tile come one tile after the other.
    logic [Blocks-1:0][7:0] key_blocks;
    scale_file #(
      .Segments,
      .Tiles(1),
      .Reads(1)
    ) u_key_scales (
      .clk_i,
      .rst_ni,
      .write_i     (key_scale),
      .write_tile_i('0),
      .write_word_i(scale_word),
      .write_data_i(word_data[SegmentLanes*s +: SegmentLanes]),
      .read_int8_i (word_int8),
      .read_tile_i ('0),
      .read_beat_i (word_tag.beat),
      .blocks_o    (key_blocks)
    );

    function automatic lane_byte_t chains(input logic [Blocks-1:0][7:0] blocks, input logic int8,
                                          input logic [1:0] part);
      chains.lo = int8 ? blocks[($clog2(Blocks))'(part)] : blocks[($clog2(Blocks))'({part, 1'b0})];
      chains.hi = int8 ? blocks[($clog2(Blocks))'(part)] : blocks[($clog2(Blocks))'({part, 1'b1})];
    endfunction

    always_comb begin
      key_scales[s] = '0;
      if (word_tag.valid && word_of_k) key_scales[s] = chains(key_blocks, word_int8, word_tag.part);
      feed_row0.tag   = feed_now;
      feed_row0.scale = '0;
      if (feed_now.valid) feed_row0.scale = chains(feed_blocks, feed_now.int8, feed_now.part);
    end
    assign score_rows[0] = score_now;
    assign feed_rows[0]  = feed_row0;

    tap_line #(
      .Width($bits(score_control_t)),
      .Taps (Rows - 1)
    ) u_score_rows (
      .clk_i,
      .rst_ni,
      .data_i(score_now),
      .taps_o(score_rows[Rows-1:1])
    );
    for (genvar k = 0; k < Blocks; k++) begin : gen_block
      logic [Rows-2:0][7:0] taps;
      tap_line #(
        .Width(8),
        .Taps (Rows - 1)
      ) u_scale_rows (
        .clk_i,
        .rst_ni,
        .data_i(score_scales[0][k]),
        .taps_o(taps)
      );
      // A narrow head does not have all blocks.
      assign score_scales[0][k] = score_now.tag.valid && 32'(k) < blocks_used ? score_blocks[k] : '0;
      for (genvar r = 1; r < Rows; r++) begin : gen_row
        assign score_scales[r][k] = taps[r-1];
      end
    end
    tap_line #(
      .Width($bits(feed_control_t)),
      .Taps (Rows - 1)
    ) u_feed_rows (
      .clk_i,
      .rst_ni,
      .data_i(feed_row0),
      .taps_o(feed_rows[Rows-1:1])
    );

    for (genvar r = 0; r < Rows; r++) begin : gen_row
      float_t         value;
      logic           visible;
      operand_block_t block;
      always_comb begin
        block       = block_i;
        block.valid = block_i.valid && block_i.rows[r] && block_i.segments[s];
        value = s == Segments - 1 || result[r][s].valid ? result[r][s].value : result[r][Segments-1].value;
        visible = score_rows[r].position >= first_key[score_rows[r].head][r]
                  && score_rows[r].position < end_key[score_rows[r].head][r];
      end

      softmax #(
        .Segments
      ) u_softmax (
        .clk_i,
        .rst_ni,
        .score_i        (value),
        .score_tag_i    (score_rows[r].tag),
        .visible_i      (visible),
        .scales_i       (score_scales[r]),
        .feed_tag_i     (feed_rows[r].tag),
        .feed_scale_i   (feed_rows[r].scale),
        .block_i        (block),
        .block_data_i,
        .clear_flags_i  (clear_i),
        .p_o            (p[r][s]),
        .tile_exponent_o(tile_exponent[r][s]),
        .tile_sum_o     (tile_sum[r][s]),
        .flags_o        (softmax_flags[r][s])
      );
    end
  end

  // Later segments count their scores alike.
  logic unused_scored;
  assign unused_scored = ^segment_scored;

  // ---- results ----
  normaliser_flags_t [Rows-1:0] normaliser_flags;

  normaliser #(
    .Rows,
    .Segments
  ) u_normaliser (
    .clk_i,
    .rst_ni,
    .head_end_i   (head_end),
    .rows_i       (head_rows[head_end.head]),
    .tile_sum_i   (tile_sum),
    .acc_read_o   (acc_read),
    .acc_data_i   (acc_data),
    .out_ready_i,
    .attended_o,
    .values_o,
    .head_done_o  (head_done),
    .clear_flags_i(clear_i),
    .flags_o      (normaliser_flags)
  );

  assign head_done_o    = head_done;
  assign started_o      = started;
  assign started_info_o = heads[started.head];

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      flags_o[r].empty     = normaliser_flags[r].empty;
      flags_o[r].overflow  = normaliser_flags[r].overflow;
      flags_o[r].clamped   = 1'b0;
      flags_o[r].nan_scale = array_flags[r].nan_scale;
      flags_o[r].saturated = array_flags[r].saturated;
      for (int unsigned s = 0; s < Segments; s++) begin
        flags_o[r].clamped   |= softmax_flags[r][s].clamped;
        flags_o[r].nan_scale |= softmax_flags[r][s].nan_scale;
      end
    end
  end

endmodule : attention_engine
