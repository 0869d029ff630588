// SPDX-License-Identifier: Apache-2.0
// Stands for crc32c_zeros: the wire of link_properties.sv says which flits are good.
module crc32c_zeros #(
  parameter int unsigned Bytes
) (
  input  logic [31:0] state_i,
  output logic [31:0] state_o
);
  assign state_o = '0;
endmodule : crc32c_zeros
