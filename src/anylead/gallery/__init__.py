"""Enrolled patients: whose heart is this, and is a recording filed under the wrong patient?"""
