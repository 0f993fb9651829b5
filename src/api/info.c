/* What this build and machine can do. */
#include <H5public.h>
#include <cjson/cJSON.h>
#include <png.h>
#include <stdio.h>
#include <turbojpeg.h>

#include "api/internal.h"

const char *entrain_version(void) {
    return ENTRAIN_VERSION;
}

void entrain_print_info(const entrain_job *job) {
    if (job->c->rank != 0) return;
    unsigned major = 0, minor = 0, release = 0;
    (void)H5get_libversion(&major, &minor, &release);
    (void)printf("entrain      %s\n", ENTRAIN_VERSION);
    (void)printf("compiler     %s\n", __VERSION__);
    (void)printf("HDF5         %u.%u.%u\n", major, minor, release);
    (void)printf("cJSON        %s\n", cJSON_Version());
    (void)printf("libpng       %s\n", png_get_libpng_ver(NULL));
    (void)printf("ranks        %d (%s)\n", job->c->size, job->c->ops->name);
    (void)printf("CPUs         %d of %d allowed, %d threads a rank\n", job->cpus, job->online_cpus, job->be->threads);
    entrain_error why = {0};
    const int gpus = backend_cuda_devices(&why);
    (void)printf("device       %s%s%s\n", job->be->ops->name, job->be->description != NULL ? ": " : "",
                 job->be->description != NULL ? job->be->description : "");
    (void)printf("GPUs         %d%s%s\n", gpus, gpus > 0 ? "" : ": ", gpus > 0 ? "" : why.text);
    (void)printf("precision    fp32, bf16 %s\n",
                 job->be->ops->supports(job->be, BF16) ? "by the device" : "not by this device: float32 instead");
    (void)printf("data sets   ");
    for (int i = 0; entrain_pack_name(i) != NULL; i++) (void)printf(" %s", entrain_pack_name(i));
    (void)printf("\n");
}
