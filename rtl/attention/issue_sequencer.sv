// SPDX-License-Identifier: Apache-2.0
// Issues the beats of the FIFO to the array, one a cycle, as the rules of the array's schedule allow
// (docs/blocks/systolic_array.md), and loads q beside the beats of K. A slot is decided in cycle t; its feed tag is
// out in t + 1, the beat itself FeedLatency cycles after that, when its p is ready.
module issue_sequencer
  import tandem_pkg::*;
#(
  parameter int unsigned Segments
) (
  input  logic                                             clk_i,
  input  logic                                             rst_ni,
  input  head_start_t                                      started_i,
  input  head_info_t [Contexts-1:0]                        heads_i,
  input  operands_t                                        operands_i,     // q of a context may be loaded
  input  word_tag_t                                        tag_i,          // a beat for the FIFO
  input  lane_byte_t [Segments-1:0]                        scales_i,
  input  logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_i,
  input  logic                                             tile_scored_i,  // one more tile's p is there
  input  logic                                             head_done_i,    // accumulators are free again
  output feed_tag_t                                        feed_o,
  output logic      [Contexts-1:0]                         operands_there_o,  // q may be loaded, or was
  output head_end_t                                        head_end_o,
  output logic                                             tile_done_o,    // with the last beat of V
  output logic                                             release_o,      // a beat left the FIFO
  output beat_t                                            beat_o,
  output lane_byte_t [Segments-1:0]                        scales_o,
  output logic       [Segments-1:0][SegmentLanes-1:0][7:0] elements_o
);

  localparam int unsigned IndexBits = $clog2(BeatFifoDepth);
  localparam int unsigned Spacing   = SegmentLanes;                   // rule 3
  localparam int unsigned Recent    = 2 * Segments * FloatLatency;    // rule 4
  localparam int unsigned Overtake  = 2 * FloatLatency * (Segments - 1) + 1;
  localparam int unsigned SinceBits = $clog2(Spacing + 1);

  typedef struct packed {
    logic       valid;
    logic [4:0] beat;
  } recent_t;

  // Loads of q: which head, part, lane comes next.
  typedef struct packed {
    logic [1:0]              head;
    logic [1:0]              part;
    logic [5:0]              count;
    logic                    bank;
    logic                    midway;  // a head whose parts do not fit is loaded anew for every tile
    logic [PositionBits-1:0] token;   // first of the tile, when midway
  } load_t;

  // What waits for its p.
  typedef struct packed {
    logic                 valid;
    logic [IndexBits-1:0] index;
    beat_t                beat;
  } slot_t;

  load_t                load_d, load_q;
  logic [Contexts-1:0]  pending_d, pending_q;  // heads whose q has not been loaded
  logic [Contexts-1:0]  ready_d, ready_q;      // heads whose q may be loaded
  logic [Contexts-1:0][6:0] chunk_d, chunk_q;  // where it lies
  logic [1:0]           loaded_d, loaded_q;    // banks of stationary operands that hold what is needed next
  logic                 key_bank_d, key_bank_q;      // bank of part 0
  logic                 grouped_d, grouped_q;        // the last beat of K was of a head with groups
  logic [SinceBits-1:0] since_key_d, since_key_q;    // slots since the last beat of K
  logic [SinceBits-1:0] since_end_d, since_end_q;    // slots since the last end of a tile of V
  logic [2:0]           scored_d, scored_q;          // tiles whose p may be asked for
  logic [1:0]           open_d, open_q;              // banks of accumulators in use
  logic                 acc_bank_d, acc_bank_q;
  recent_t [Recent-1:0] recent_d, recent_q;          // beats of K in the last slots
  slot_t                slot_d, slot_q, slot_late;
  feed_tag_t            feed_d, feed_q;
  head_end_t            head_end_d, head_end_q;
  logic                 tile_done_d, tile_done_q;

  word_tag_t            head_tag;
  logic [IndexBits-1:0] head_index;
  logic                 issue;
  lane_byte_t [Segments-1:0]                        late_scales;
  logic       [Segments-1:0][SegmentLanes-1:0][7:0] late_elements;

  beat_fifo #(
    .Segments
  ) u_fifo (
    .clk_i,
    .rst_ni,
    .tag_i,
    .scales_i,
    .elements_i,
    .pop_i       (issue),
    .head_tag_o  (head_tag),
    .head_index_o(head_index),
    .read_index_i(slot_late.index),
    .scales_o    (late_scales),
    .elements_o  (late_elements)
  );
  // A bubble brings no data: the entry may never have been written.
  assign scales_o   = slot_late.valid ? late_scales : '0;
  assign elements_o = slot_late.valid ? late_elements : '0;

  delay_line #(
    .Width($bits(slot_t)),
    .Depth(FeedLatency)
  ) u_late (
    .clk_i,
    .rst_ni,
    .data_i(slot_q),
    .data_o(slot_late)
  );

  head_info_t              head, load_head;
  logic                    is_key, is_value, grouped, bank, recently, key_ok, value_ok, opens, load_now;
  logic                    load_end;
  logic [2:0]              parts, load_parts;
  logic [PositionBits-1:0] load_token;

  always_comb begin
    head     = heads_i[head_tag.head];
    is_key   = head_tag.valid && head_tag.kind == KindKey;
    is_value = head_tag.valid && head_tag.kind == KindValue;
    parts    = 3'(head_parts(Segments, head.int8, head.wide));
    grouped  = head_groups(Segments, head.int8, head.wide) != 1;
    bank     = key_bank_q ^ head_tag.part[0];

    // ---- may the beat go now? ----
    recently = 1'b0;
    for (int unsigned i = 0; i < Recent; i++) begin
      recently |= recent_q[i].valid && recent_q[i].beat == head_tag.beat;
    end
    key_ok = loaded_q[bank] && !(head_tag.part != '0 && recently)
             && (grouped == grouped_q || since_key_q >= SinceBits'(Overtake));
    value_ok = 1'b1;
    if (head_tag.tile_first) value_ok = scored_q != '0;
    // The accumulators are written from the last beat of the head's first tile on.
    opens = head_tag.head_first && head_tag.last && head_tag.part == '0;
    if (opens) value_ok &= open_q != 2'd2;
    if (head_tag.last) begin
      value_ok &= since_key_q >= SinceBits'(Spacing) && since_end_q >= SinceBits'(Spacing);
    end
    issue = (is_key && key_ok) || (is_value && value_ok);

    // ---- q ----
    load_head  = heads_i[load_q.head];
    load_parts = 3'(head_parts(Segments, load_head.int8, load_head.wide));
    load_token = load_q.midway ? load_q.token : load_head.origin;
    load_now   = pending_q[load_q.head] && ready_q[load_q.head] && !loaded_q[load_q.bank]
                 && !(is_value && value_ok);
    load_end   = load_now && load_q.count == 6'(SegmentLanes);

    load_d    = load_q;
    pending_d = pending_q;
    ready_d   = ready_q;
    chunk_d   = chunk_q;
    loaded_d  = loaded_q;
    if (load_now) load_d.count = load_q.count + 1'b1;
    if (load_end) begin
      load_d.count          = '0;
      load_d.bank           = !load_q.bank;
      loaded_d[load_q.bank] = 1'b1;
      load_d.part           = load_q.part + 1'b1;
      if (3'(load_q.part) + 1'b1 == load_parts) begin
        load_d.part   = '0;
        load_d.midway = 1'b1;
        load_d.token  = load_token + PositionBits'(32);
        if (load_parts <= 3'd2 || load_head.limit - load_token <= PositionBits'(32)) begin
          load_d.midway          = 1'b0;
          load_d.head            = load_q.head + 1'b1;
          pending_d[load_q.head] = 1'b0;
          ready_d[load_q.head]   = 1'b0;
        end
      end
    end
    if (started_i.valid) pending_d[started_i.head] = 1'b1;
    if (operands_i.valid) begin
      ready_d[operands_i.head] = 1'b1;
      chunk_d[operands_i.head] = operands_i.chunk;
    end

    // ---- the slot ----
    slot_d.valid = issue;
    slot_d.index = head_index;
    slot_d.beat  = '0;
    feed_d       = '0;
    head_end_d   = '0;
    tile_done_d  = 1'b0;
    key_bank_d   = key_bank_q;
    grouped_d    = grouped_q;
    acc_bank_d   = acc_bank_q;
    since_key_d  = since_key_q == SinceBits'(Spacing) ? since_key_q : since_key_q + 1'b1;
    since_end_d  = since_end_q == SinceBits'(Spacing) ? since_end_q : since_end_q + 1'b1;
    scored_d     = scored_q + 3'(tile_scored_i);
    open_d       = open_q - 2'(head_done_i);
    recent_d     = {recent_q[Recent-2:0], recent_t'('0)};

    if (load_now) begin
      slot_d.beat.pe.load       = 1'b1;
      slot_d.beat.pe.load_bank  = load_q.bank;
      slot_d.beat.pe.load_count = load_q.count;
      feed_d.load               = 1'b1;
      feed_d.load_chunk         = chunk_q[load_q.head] + 7'(load_q.part);
      feed_d.load_count         = load_q.count;
    end
    if (is_key && key_ok) begin
      slot_d.beat.pe.mode             = ModeQk;
      slot_d.beat.pe.bank             = bank;
      slot_d.beat.segment.bank        = bank;
      slot_d.beat.segment.int8        = head.int8;
      slot_d.beat.segment.group_log2  = grouped ? 2'd0 : 2'($clog2(Segments));
      slot_d.beat.segment.slot        = {grouped, head_tag.beat};
      slot_d.beat.segment.partial_in  = head_tag.part != '0;
      slot_d.beat.segment.partial_out = 3'(head_tag.part) + 1'b1 != parts;
      grouped_d                       = grouped;
      since_key_d                     = SinceBits'(1);
      recent_d[0].valid               = 1'b1;
      recent_d[0].beat                = head_tag.beat;
      // The operand's last use.
      if (head_tag.last && (head_tag.head_last || parts > 3'd2)) loaded_d[bank] = 1'b0;
      if (head_tag.tile_last && head_tag.head_last && parts == 3'd1) key_bank_d = !key_bank_q;
    end
    if (is_value && value_ok) begin
      slot_d.beat.pe.mode           = ModePv;
      slot_d.beat.pe.first          = head_tag.beat == '0;
      slot_d.beat.pe.last           = head_tag.last;
      slot_d.beat.segment.int8      = head.int8;
      slot_d.beat.segment.part      = head_tag.part;
      slot_d.beat.segment.acc_first = head_tag.head_first;
      slot_d.beat.segment.acc_bank  = acc_bank_q;
      feed_d.valid                  = 1'b1;
      feed_d.int8                   = head.int8;
      feed_d.tile                   = head_tag.tile;
      feed_d.part                   = head_tag.part;
      feed_d.beat                   = head_tag.beat;
      feed_d.last                   = head_tag.last;
      feed_d.acc_first              = head_tag.head_first;
      feed_d.acc_bank               = acc_bank_q;
      if (head_tag.last) since_end_d = SinceBits'(1);
      if (head_tag.tile_first) begin
        scored_d = scored_d - 1'b1;
      end
      if (opens) open_d = open_d + 1'b1;
      if (head_tag.tile_last) begin
        tile_done_d = 1'b1;
        if (head_tag.head_last) begin
          head_end_d.valid    = 1'b1;
          head_end_d.head     = head_tag.head;
          head_end_d.int8     = head.int8;
          head_end_d.wide     = head.wide;
          head_end_d.acc_bank = acc_bank_q;
          acc_bank_d          = !acc_bank_q;
        end
      end
    end
  end

  logic unused_head;
  assign unused_head = ^{head.resident, head.origin, head.limit, head.base, load_head.resident,
                        load_head.base};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      load_q      <= '0;
      pending_q   <= '0;
      ready_q     <= '0;
      chunk_q     <= '0;
      loaded_q    <= '0;
      key_bank_q  <= '0;
      grouped_q   <= '0;
      since_key_q <= '0;
      since_end_q <= '0;
      scored_q    <= '0;
      open_q      <= '0;
      acc_bank_q  <= '0;
      recent_q    <= '0;
      slot_q      <= '0;
      feed_q      <= '0;
      head_end_q  <= '0;
      tile_done_q <= '0;
    end else begin
      load_q      <= load_d;
      pending_q   <= pending_d;
      ready_q     <= ready_d;
      chunk_q     <= chunk_d;
      loaded_q    <= loaded_d;
      key_bank_q  <= key_bank_d;
      grouped_q   <= grouped_d;
      since_key_q <= since_key_d;
      since_end_q <= since_end_d;
      scored_q    <= scored_d;
      open_q      <= open_d;
      acc_bank_q  <= acc_bank_d;
      recent_q    <= recent_d;
      slot_q      <= slot_d;
      feed_q      <= feed_d;
      head_end_q  <= head_end_d;
      tile_done_q <= tile_done_d;
    end
  end

  assign operands_there_o = ready_q | ~pending_q;

  assign feed_o      = feed_q;
  assign head_end_o  = head_end_q;
  assign tile_done_o = tile_done_q;
  assign release_o   = slot_late.valid;
  assign beat_o      = slot_late.beat;

endmodule : issue_sequencer
