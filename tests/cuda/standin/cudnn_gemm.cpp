/* Blocks of four rows by eight columns in registers; the columns of b are packed so that they are read in one run. */
#include "cudnn_gemm.h"

#include <cstring>
#include <vector>

namespace standin {

enum { ROWS = 4, COLUMNS = 8 };
typedef float Four __attribute__((vector_size(16)));

static void block(long k, const float *const *a, long a_column, const Four *b, Four sums[ROWS][2]) {
    Four s00 = {}, s01 = {}, s10 = {}, s11 = {}, s20 = {}, s21 = {}, s30 = {}, s31 = {};
    const float *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3];
    for (long p = 0; p < k; p++) {
        const Four left = b[2 * p], right = b[2 * p + 1];
        const float x0 = a0[p * a_column], x1 = a1[p * a_column], x2 = a2[p * a_column], x3 = a3[p * a_column];
        s00 += x0 * left;
        s01 += x0 * right;
        s10 += x1 * left;
        s11 += x1 * right;
        s20 += x2 * left;
        s21 += x2 * right;
        s30 += x3 * left;
        s31 += x3 * right;
    }
    const Four result[ROWS][2] = {{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}};
    std::memcpy(sums, result, sizeof result);
}

void gemm(long m, long n, long k, const float *a, long a_row, long a_column, const float *b, long b_row, float *c, long c_row) {
    std::vector<Four> packed(static_cast<size_t>(2 * k));
    float *panel = reinterpret_cast<float *>(packed.data());
    for (long j = 0; j < n; j += COLUMNS) {
        const long columns = n - j < COLUMNS ? n - j : static_cast<long>(COLUMNS);
        if (columns < COLUMNS) std::memset(panel, 0, packed.size() * sizeof(Four));
        for (long p = 0; p < k; p++) std::memcpy(panel + p * COLUMNS, b + p * b_row + j, static_cast<size_t>(columns) * sizeof(float));
        for (long i = 0; i < m; i += ROWS) {
            const long rows = m - i < ROWS ? m - i : static_cast<long>(ROWS);
            const float *row[ROWS]; /* past the end the last row again, whose result is not used */
            for (long r = 0; r < ROWS; r++) row[r] = a + (i + (r < rows ? r : rows - 1)) * a_row;
            Four sums[ROWS][2];
            block(k, row, a_column, packed.data(), sums);
            for (long r = 0; r < rows; r++) {
                const float *sum = reinterpret_cast<const float *>(sums[r]);
                float *to = c + (i + r) * c_row + j;
                for (long q = 0; q < columns; q++) to[q] += sum[q];
            }
        }
    }
}

} // namespace standin
