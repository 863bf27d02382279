// The entries of the table that this family of headers provides. Included inside the namespace of one ISA.
void fill_matmul(Kernels& k) {
  k.matmul[type_index(TensorType::kF32)] = matmul_float<FormatF32>;
  k.matmul[type_index(TensorType::kF16)] = matmul_float<FormatF16>;
  k.matmul[type_index(TensorType::kBF16)] = matmul_float<FormatBF16>;
  k.matmul[type_index(TensorType::kQ8_0)] = matmul_quant<FormatQ8_0>;
  k.matmul[type_index(TensorType::kQ4_0)] = matmul_quant<FormatQ4_0>;
  k.matmul[type_index(TensorType::kQ4_1)] = matmul_quant<FormatQ4_1>;
  k.matmul[type_index(TensorType::kQ5_0)] = matmul_quant<FormatQ5_0>;
  k.matmul[type_index(TensorType::kQ5_1)] = matmul_quant<FormatQ5_1>;
  k.matmul[type_index(TensorType::kQ4_K)] = matmul_quant<FormatQ4_K>;
  k.matmul[type_index(TensorType::kQ5_K)] = matmul_quant<FormatQ5_K>;
  k.matmul[type_index(TensorType::kQ6_K)] = matmul_quant<FormatQ6_K>;
  k.prepare = prepare;
  k.int8_peak = int8_peak;
}
