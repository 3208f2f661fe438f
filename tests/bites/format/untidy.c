int untidy( int a ){
  return a ;
}
