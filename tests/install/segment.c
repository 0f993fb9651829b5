/* One image through a trained network: the class of every pixel as an 8-bit grey PNG. */
#include <entrain/entrain.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

/* An image file as (height, width, 3) bytes; NULL where it cannot be read. */
static unsigned char *read_rgb(const char *path, png_image *image) {
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(image, path)) return NULL;
    image->format = PNG_FORMAT_RGB;
    unsigned char *rgb = malloc(PNG_IMAGE_SIZE(*image));
    if (rgb != NULL && png_image_finish_read(image, NULL, rgb, 0, NULL)) return rgb;
    png_image_free(image);
    free(rgb);
    return NULL;
}

static entrain_status segment(const char *settings, const char *checkpoint, const unsigned char *rgb, int height, int width,
                              unsigned char *labels, entrain_error *err) {
    entrain_config *config = NULL;
    entrain_network *network = NULL;
    entrain_status status = entrain_config_load(NULL, settings, NULL, 0, &config, err); /* NULL: no job, a single process */
    if (status == ENTRAIN_OK) status = entrain_network_open(config, checkpoint, 0, &network, err);
    if (status == ENTRAIN_OK) status = entrain_network_run(network, rgb, height, width, labels, NULL, err);
    if (status == ENTRAIN_OK) printf("%d x %d pixels, %d classes\n", height, width, entrain_network_classes(network));
    entrain_network_close(network);
    entrain_config_free(config);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: %s CONFIG.json CHECKPOINT|RUN_DIR IMAGE.png LABELS.png\n", argv[0]);
        return ENTRAIN_USAGE;
    }
    entrain_error err = {ENTRAIN_OK, ""};
    png_image image;
    unsigned char *rgb = read_rgb(argv[3], &image);
    unsigned char *labels = rgb != NULL ? malloc((size_t)image.width * image.height) : NULL;
    if (labels == NULL) {
        fprintf(stderr, "%s: cannot be read\n", argv[3]);
        free(rgb);
        return ENTRAIN_DATA;
    }
    entrain_status status = segment(argv[1], argv[2], rgb, (int)image.height, (int)image.width, labels, &err);
    if (status != ENTRAIN_OK) fprintf(stderr, "%s\n", err.text);
    image.format = PNG_FORMAT_GRAY;
    if (status == ENTRAIN_OK && !png_image_write_to_file(&image, argv[4], 0, labels, 0, NULL)) {
        fprintf(stderr, "%s: cannot be written\n", argv[4]);
        status = ENTRAIN_DATA;
    }
    free(labels);
    free(rgb);
    return (int)status;
}
