# The tables of classes, datasets/NAME/classes.json, as bytes in a C file: a string literal may not be as long as they are.
file(GLOB tables CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/datasets/*/classes.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${tables})
set(table_arrays "")
set(table_rows "")
foreach(table ${tables})
  get_filename_component(name ${table} DIRECTORY)
  get_filename_component(name ${name} NAME)
  file(READ ${table} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND table_arrays "static const char table_${name}[] = {${bytes}0};\n")
  string(APPEND table_rows "    {\"${name}\", table_${name}},\n")
endforeach()
set(entrain_tables ${CMAKE_CURRENT_BINARY_DIR}/class_tables.c)
file(CONFIGURE OUTPUT ${entrain_tables} CONTENT "/* Made by cmake/tables.cmake from datasets/NAME/classes.json. */
#include \"data/class_table_internal.h\"

@table_arrays@
const class_table_source class_table_sources[] = {
@table_rows@    {NULL, NULL},
};
" @ONLY)
