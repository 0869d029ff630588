// SPDX-License-Identifier: Apache-2.0
// Stands for crc32c: the wire of link_properties.sv says which flits are good.
module crc32c #(
  parameter int unsigned Bytes
) (
  input  logic           [31:0] state_i,
  input  logic [Bytes-1:0][7:0] data_i,
  output logic           [31:0] state_o
);
  assign state_o = '0;
endmodule : crc32c
