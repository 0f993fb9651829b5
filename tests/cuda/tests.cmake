# Tests of the CUDA code: the same programs as on the CPU, told by ENTRAIN_TEST_DEVICE to use the device. Executed in simulation they carry
# the label cuda, and each is run in several ways, for each way finds what the others cannot; on a real GPU (label gpu) once.
set(device_environment "${mpi_environment};ENTRAIN_TEST_DEVICE=cuda")
set(mpi_launch mpirun --oversubscribe --bind-to none -np)

# cuda_test(NAME LABEL COMMAND... ENVIRONMENT variable=value...)
function(cuda_test name label)
  cmake_parse_arguments(t "" "" "COMMAND;ENVIRONMENT" ${ARGN})
  add_test(NAME ${label}.${name} COMMAND ${t_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT 600 SKIP_RETURN_CODE 77
                       ENVIRONMENT "${device_environment};ENTRAIN_BUILD=${PROJECT_BINARY_DIR};${t_ENVIRONMENT}")
endfunction()

if(entrain_cuda STREQUAL "SIMULATE")
  set(label cuda)
  if(ENTRAIN_CUDA_RACE OR ENTRAIN_SANITIZE)
    set(ways "checked|")
  else()
    # The order of threads and blocks shuffled; streams that lag behind as far as they may.
    set(ways "plain|" "shuffled1|CUSIM_SHUFFLE=1" "shuffled2|CUSIM_SHUFFLE=2" "shuffled3|CUSIM_SHUFFLE=3" "streams|CUSIM_LAZY=2")
  endif()
else()
  set(label gpu)
  set(ways "device|")
endif()

foreach(source ${unit_device_tests})
  get_filename_component(name ${source} NAME_WE)
  foreach(way ${ways})
    string(REGEX REPLACE "\\|.*" "" way_name "${way}")
    string(REGEX REPLACE ".*\\|" "" way_environment "${way}")
    cuda_test(${name}.${way_name} ${label} COMMAND ${name} ENVIRONMENT ${way_environment})
  endforeach()
endforeach()

if("plain|" IN_LIST ways)
  cuda_test(test_conv.channels_first ${label} COMMAND test_conv ENVIRONMENT CUSIM_NO_NHWC=1)
endif()

foreach(source ${mpi_device_tests})
  get_filename_component(name ${source} NAME_WE)
  foreach(ranks 1 2 4)
    cuda_test(${name}.${ranks} ${label} COMMAND ${mpi_launch} ${ranks} $<TARGET_FILE:mpi_${name}> ENVIRONMENT CUSIM_LAZY=2)
  endforeach()
endforeach()

# The whole program; the checked builds are for kernels.
file(GLOB device_scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/e2e/test_*.sh)
if(NOT entrain_cuda STREQUAL "SIMULATE")
  list(FILTER device_scripts EXCLUDE REGEX "simulated")
endif()
if(NOT ENTRAIN_CUDA_RACE AND NOT ENTRAIN_SANITIZE)
  foreach(source ${device_scripts})
    get_filename_component(name ${source} NAME_WE)
    cuda_test(e2e.${name} ${label} COMMAND bash ${source})
  endforeach()
endif()
