/* Images as the network takes them, from their bytes: each byte value's number is worked out once a channel and looked up for each pixel.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/elements.h"

enum { RGB = 3, BYTES = 256 };

void cpu_normalise(backend *be, const uint8_t *x, const double mean[3], const double std[3], tensor *y) {
    const size_t pixels = tensor_count(y) / RGB;
    float value[RGB][BYTES];
    for (int c = 0; c < RGB; c++) {
        const double factor = 1.0 / (255.0 * std[c]), offset = -mean[c] / std[c];
        for (int i = 0; i < BYTES; i++) value[c][i] = (float)(i * factor + offset);
    }
#pragma omp parallel for num_threads(be->threads) if (RGB * pixels >= CPU_PARALLEL_MIN) schedule(static)
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < RGB; c++) element_store(y->data, RGB * i + c, value[c][x[RGB * i + c]], y->type);
}
