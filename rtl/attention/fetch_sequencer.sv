// SPDX-License-Identifier: Apache-2.0
// Walks the tiles of the heads and reads their words: KS_j, VS_j, K_j, with K TilesAhead tiles ahead of V, from head
// to head without a gap. One word a cycle, as long as the beat FIFO has room for it.
`include "tandem_assert.svh"

module fetch_sequencer
  import tandem_pkg::*;
#(
  parameter int unsigned Segments
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  head_start_t                 started_i,
  input  head_info_t [Contexts-1:0]   heads_i,
  input  logic       [Contexts-1:0]   operands_there_i,  // of heads that are pending here
  input  bank_fill_t                  written_i,    // this word is in the banks
  input  logic                        release_i,    // a beat left the FIFO
  input  logic                        tile_done_i,  // nobody needs the oldest tile's slot any more
  output bank_read_t                  read_o,
  output word_tag_t                   tag_o,        // of the word that read_o asks for
  output tile_info_t [TileSlots-1:0]  tiles_o,
  output logic                        released_o    // the last word of a tile that was waited for
);

  localparam int unsigned UsedBits = $clog2(BeatFifoDepth) + 1;

  // ---- where K and V stand ----
  typedef struct packed {
    logic [1:0]              head;
    logic [1:0]              tile;    // slot
    logic                    midway;  // not at the head's first tile
    logic [PositionBits-1:0] token;   // first of the tile, when midway
  } walk_t;

  // The tile that a walk comes to next.
  typedef struct packed {
    logic                       int8;
    logic [1:0]                 parts_last;
    logic [4:0]                 beats_last;
    logic                       head_last;
    logic [PositionBits-1:0]    token;
    logic [PositionBits-1:0]    next_token;
    logic [WordAddressBits-1:0] address;
    logic [WordAddressBits-1:0] value_address;  // of the first element of V
  } step_t;

  // The tile whose words are read.
  typedef struct packed {
    logic                       active;
    kind_e                      kind;
    logic [1:0]                 head;
    logic [1:0]                 tile;
    logic                       int8;
    logic [1:0]                 parts_last;
    logic [4:0]                 beats_last;
    logic                       head_first;
    logic                       head_last;
    logic [WordAddressBits-1:0] address;
    logic [1:0]                 part;
    logic [4:0]                 beat;
  } current_t;

  walk_t                     key_d, key_q, value_d, value_q;
  current_t                  current_d, current_q;
  logic [Contexts-1:0]       pending_d, pending_q;  // heads whose K has not been walked
  logic [1:0]                ahead_d, ahead_q;      // tiles of K that V has not followed
  logic [TileSlots-1:0]      busy_d, busy_q;        // slots in use
  logic [1:0]                oldest_d, oldest_q;    // slot that is given back next
  // Behind the last word of streamed tiles that is in the banks: of scales and K, of V.
  logic [WordAddressBits-1:0] key_end_d, key_end_q, value_end_d, value_end_q;
  logic [UsedBits-1:0]       used_d, used_q;        // beats on their way to and in the FIFO
  tile_info_t [TileSlots-1:0] tiles_d, tiles_q;
  bank_read_t                read_d, read_q;
  word_tag_t                 tag_d, tag_q;
  logic                      released_d, released_q;

  function automatic step_t next_step(input logic midway,
                                      input logic [PositionBits-1:0] token,
                                      input head_info_t head);
    logic [1:0]              group_log2;
    logic [2:0]              parts;
    logic [PositionBits-1:0] tile_tokens, left, first;
    logic [WordAddressBits-1:0] part_words, tile_words;
    step_t next;
    parts       = 3'(head_parts(Segments, head.int8, head.wide));
    group_log2  = head_groups(Segments, head.int8, head.wide) == 1 ? 2'd0 : 2'd1;
    tile_tokens = PositionBits'(32) << group_log2;
    // Scales of K and of V, elements of K and of V.
    part_words       = WordAddressBits'(parts);
    tile_words       = part_words * (head.int8 ? 16'd66 : 16'd68);
    next.int8        = head.int8;
    next.parts_last  = 2'(parts - 3'd1);
    next.token       = midway ? token : head.origin;
    left             = head.limit - next.token;
    next.beats_last  = left >= PositionBits'(32) ? 5'd31 : 5'(left - 1'b1);
    next.head_last   = left <= tile_tokens;
    next.next_token  = next.token + tile_tokens;
    // A head that is streamed begins with the first tile that it needs.
    first              = head.resident ? '0 : head.origin;
    next.address       = head.base
                         + WordAddressBits'((next.token - first) >> (5 + group_log2)) * tile_words;
    next.value_address = next.address + part_words * (head.int8 ? 16'd34 : 16'd36);
    return next;
  endfunction

  // Is a word of a streamed tile there? Less than half of all addresses lies between it and the end.
  function automatic logic there(input logic [WordAddressBits-1:0] address,
                                 input logic [WordAddressBits-1:0] words_end);
    logic [WordAddressBits-1:0] behind = address - words_end;
    return behind[WordAddressBits-1];
  endfunction

  walk_t walk, walked;
  step_t step, key_step, value_step;
  logic  key_go, value_go, element, halves_last, phase_end, advance, tile_end, choose, resident;
  logic [WordAddressBits-1:0] scale_words, offset, address;

  logic unused_walk;
  assign unused_walk = ^{walk.token, step.value_address};

  // Words that are written just now are there, too.
  always_comb begin
    key_end_d   = key_end_q;
    value_end_d = value_end_q;
    if (written_i.valid && written_i.region == RegionKey) key_end_d = written_i.address + 1'b1;
    if (written_i.valid && written_i.region == RegionValue) value_end_d = written_i.address + 1'b1;
  end

  always_comb begin
    key_step   = next_step(key_q.midway, key_q.token, heads_i[key_q.head]);
    value_step = next_step(value_q.midway, value_q.token, heads_i[value_q.head]);
    key_go     = pending_q[key_q.head] && ahead_q < 2'(TilesAhead) && !busy_q[key_q.tile]
                 && (heads_i[key_q.head].resident || there(key_step.address, key_end_d));
    value_go   = ahead_q != '0
                 && (heads_i[value_q.head].resident || there(value_step.value_address, value_end_d));

    // K of a head that waits for q would stand in the FIFO ahead of V of those before it, and q may wait for those.
    if (!operands_there_i[key_q.head] && !key_q.midway && ahead_q != '0) key_go = 1'b0;

    // ---- the word of this cycle ----
    element     = current_q.kind == KindKey || current_q.kind == KindValue;
    halves_last = !current_q.int8 && current_q.beats_last[4];
    phase_end   = current_q.part == current_q.parts_last
                  && current_q.beat == (element ? current_q.beats_last : 5'(halves_last));
    scale_words = WordAddressBits'(current_q.parts_last) + 1'b1;
    if (!current_q.int8) scale_words = scale_words << 1;
    unique case (current_q.kind)
      KindKeyScale:   offset = '0;
      KindValueScale: offset = scale_words;
      KindKey:        offset = scale_words << 1;
      default: begin
        offset = (scale_words << 1) + ((WordAddressBits'(current_q.parts_last) + 1'b1) << 5);
      end
    endcase
    if (element) offset += WordAddressBits'({current_q.part, current_q.beat});
    else if (current_q.int8) offset += WordAddressBits'(current_q.part);
    else offset += WordAddressBits'({current_q.part, current_q.beat[0]});

    address  = current_q.address + offset;
    resident = heads_i[current_q.head].resident;
    advance  = current_q.active && (!element || used_q < UsedBits'(BeatFifoDepth))
               && (resident || there(address, current_q.kind == KindValue ? value_end_d : key_end_d));
    tile_end = advance && phase_end && element;
    choose   = !current_q.active || tile_end;

    read_d         = '0;
    tag_d          = '0;
    released_d     = tile_end && current_q.kind == KindValue && !resident;
    if (advance) begin
      read_d.valid     = 1'b1;
      read_d.streamed  = !resident;
      read_d.address   = address;
      tag_d.valid      = 1'b1;
      tag_d.kind       = current_q.kind;
      tag_d.head       = current_q.head;
      tag_d.tile       = current_q.tile;
      tag_d.part       = current_q.part;
      tag_d.beat       = current_q.beat;
      tag_d.head_first = current_q.head_first;
      tag_d.head_last  = current_q.head_last;
      if (element) begin
        tag_d.last       = current_q.beat == current_q.beats_last;
        tag_d.tile_first = current_q.part == '0 && current_q.beat == '0;
        tag_d.tile_last  = phase_end;
      end
    end

    // ---- the next word ----
    current_d = current_q;
    key_d     = key_q;
    value_d   = value_q;
    pending_d = pending_q;
    ahead_d   = ahead_q;
    busy_d    = busy_q;
    oldest_d  = oldest_q;
    used_d    = used_q + UsedBits'(advance && element) - UsedBits'(release_i);
    tiles_d   = tiles_q;

    if (advance) begin
      if (phase_end) begin
        current_d.part = '0;
        current_d.beat = '0;
        if (current_q.kind == KindKeyScale) current_d.kind = KindValueScale;
        else if (current_q.kind == KindValueScale) current_d.kind = KindKey;
      end else if (current_q.beat == (element ? current_q.beats_last : 5'(halves_last))) begin
        current_d.part = current_q.part + 1'b1;
        current_d.beat = '0;
      end else begin
        current_d.beat = current_q.beat + 1'b1;
      end
    end

    // K goes first.
    walk          = key_go ? key_q : value_q;
    step          = key_go ? key_step : value_step;
    walked.head   = walk.head + 2'(step.head_last);
    walked.tile   = walk.tile + 1'b1;
    walked.midway = !step.head_last;
    walked.token  = step.next_token;
    if (choose) begin
      current_d.active = key_go || value_go;
      if (key_go || value_go) begin
        current_d.kind       = key_go ? KindKeyScale : KindValue;
        current_d.head       = walk.head;
        current_d.tile       = walk.tile;
        current_d.int8       = step.int8;
        current_d.parts_last = step.parts_last;
        current_d.beats_last = step.beats_last;
        current_d.head_first = !walk.midway;
        current_d.head_last  = step.head_last;
        current_d.address    = step.address;
      end
      if (key_go) begin
        tiles_d[walk.tile].head       = walk.head;
        tiles_d[walk.tile].beats_last = step.beats_last;
        tiles_d[walk.tile].origin     = step.token;
        busy_d[walk.tile] = 1'b1;
        ahead_d = ahead_q + 1'b1;
        if (step.head_last) pending_d[walk.head] = 1'b0;
        key_d = walked;
      end else if (value_go) begin
        ahead_d = ahead_q - 1'b1;
        value_d = walked;
      end
    end

    if (started_i.valid) pending_d[started_i.head] = 1'b1;
    if (tile_done_i) begin
      busy_d[oldest_q] = 1'b0;
      oldest_d         = oldest_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      key_q      <= '0;
      value_q    <= '0;
      current_q  <= '0;
      pending_q  <= '0;
      ahead_q    <= '0;
      busy_q     <= '0;
      oldest_q   <= '0;
      key_end_q   <= '0;
      value_end_q <= '0;
      used_q     <= '0;
      tiles_q    <= '0;
      read_q     <= '0;
      tag_q      <= '0;
      released_q <= '0;
    end else begin
      key_q      <= key_d;
      value_q    <= value_d;
      current_q  <= current_d;
      pending_q  <= pending_d;
      ahead_q    <= ahead_d;
      busy_q     <= busy_d;
      oldest_q   <= oldest_d;
      key_end_q   <= key_end_d;
      value_end_q <= value_end_d;
      used_q     <= used_d;
      tiles_q    <= tiles_d;
      read_q     <= read_d;
      tag_q      <= tag_d;
      released_q <= released_d;
    end
  end

  assign read_o     = read_q;
  assign tag_o      = tag_q;
  assign tiles_o    = tiles_q;
  assign released_o = released_q;

  `TANDEM_INVARIANT(INV_FETCH_1, !(tile_done_i && !busy_q[oldest_q]))

endmodule : fetch_sequencer
