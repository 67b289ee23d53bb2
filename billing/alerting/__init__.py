"""The thinking behind alerts as functions of values: when a threshold is crossed, what is odd, and how it is said."""
