// placeholder translation unit, replaced by the steps
namespace mie {}
