/* The one matrix product that all convolutions of the stand-in come down to. */
#ifndef STANDIN_CUDNN_GEMM_H
#define STANDIN_CUDNN_GEMM_H

namespace standin {

/*
 * c(m,n) += a(m,k) b(k,n). a is read at a[i a_row + p a_column], so it may be a transpose; b and c have contiguous rows b_row and c_row
 * apart. Each element is summed over k in order: the result depends on nothing but the arguments.
 */
void gemm(long m, long n, long k, const float *a, long a_row, long a_column, const float *b, long b_row, float *c, long c_row);

} // namespace standin

#endif
