"""How two labels are found to be one."""
